package bindagent

import (
	"fmt"
	"strings"

	"github.com/miekg/dns"

	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
)

// plain reads a master file and writes it again, one record with a full name per line. So nothing that named would do on reading it, such as
// including another file, comes from outside. Errors: errContent.
func plain(zone, content string) (string, error) {
	var out strings.Builder
	parser := dns.NewZoneParser(strings.NewReader(content), zone, "")
	apex := map[uint16]int{}
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		h := rr.Header()
		name := dns.CanonicalName(h.Name)
		if h.Class != dns.ClassINET || !rrset.InZone(name, zone) {
			return "", fmt.Errorf("%w: %.100q is not in it or not of class IN", errContent, h.Name)
		}
		if name == zone {
			apex[h.Rrtype]++
		}
		if out.Len() > 2*len(content)+1<<20 {
			return "", fmt.Errorf("%w: it generates too many records", errContent)
		}
		out.WriteString(rr.String())
		out.WriteByte('\n')
	}
	if err := parser.Err(); err != nil {
		return "", fmt.Errorf("%w: %w", errContent, err)
	}
	if apex[dns.TypeSOA] != 1 || apex[dns.TypeNS] == 0 {
		return "", fmt.Errorf("%w: it needs one SOA and an NS at its name", errContent)
	}
	return out.String(), nil
}

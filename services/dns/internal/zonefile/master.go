package zonefile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"unicode/utf8"

	"github.com/miekg/dns"

	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
)

// ReadMaster reads a master file of a zone. $ORIGIN, $TTL and, up to MaxRecords, $GENERATE are understood, $INCLUDE is refused. Records without
// a TTL get defaultTTL. The error is Problems, or what the reader failed with.
func ReadMaster(zone string, defaultTTL uint32, r io.Reader) ([]rrset.Entry, error) {
	in := &input{r: bufio.NewReader(r)}
	parser := dns.NewZoneParser(in, zone, "")
	parser.SetDefaultTTL(defaultTTL)
	c := collector{zone: zone, defaultTTL: defaultTTL}
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		h := rr.Header()
		if h.Class != dns.ClassINET {
			if !c.refuse(in.here(), fmt.Errorf("%s is of class %s, want IN", h.Name, dns.Class(h.Class)), true) {
				return c.result()
			}
			continue
		}
		ttl := int64(h.Ttl)
		if !c.add(in.here(), rrset.Draft{Name: h.Name, Type: dns.Type(h.Rrtype).String(), Value: rrset.Value(rr), TTL: &ttl}) {
			return c.result()
		}
	}
	switch {
	case errors.Is(in.err, errTooLarge), errors.Is(in.err, errTooLong):
		c.refuse(in.here(), in.err, false)
	case in.err != nil:
		return nil, fmt.Errorf("read the zone file: %w", in.err)
	case parser.Err() != nil:
		c.refuse(in.here(), errors.New(shorten(parser.Err().Error())), false)
	}
	return c.result()
}

// shorten bounds the parser's text, which quotes the file.
func shorten(text string) string {
	const most = 200
	if len(text) <= most {
		return text
	}
	text = text[:most]
	for !utf8.ValidString(text) {
		text = text[:len(text)-1]
	}
	return text + "…"
}

// WriteMaster writes a master file with one record per line and full names. The sets come in the order of rrset.Key.Compare, so that the
// SOA is first and equal content is an equal file. Disabled records become comments.
func WriteMaster(w io.Writer, zone string, sets iter.Seq2[rrset.Set, error]) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "; zone %s\n$ORIGIN .\n", zone)
	for set, err := range sets {
		if err != nil {
			return err
		}
		set.Sort()
		for _, e := range set.Entries() {
			mark := ""
			if e.Disabled {
				mark = "; disabled: "
			}
			fmt.Fprintf(out, "%s%s\t%d\tIN\t%s\t%s\n", mark, e.Name, e.TTL, e.Type, e.Value)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write the zone file: %w", err)
	}
	return nil
}

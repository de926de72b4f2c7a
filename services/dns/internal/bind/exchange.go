package bind

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/miekg/dns"

	"github.com/opsdeck/opsdeck/services/dns/internal/keyfile"
	"github.com/opsdeck/opsdeck/services/dns/internal/nameserver"
)

// Times of DNS messages.
const (
	dialTimeout = 5 * time.Second
	readTimeout = 30 * time.Second // an update of 60 kB is written to disk before it is answered
	fudge       = 300              // seconds that clocks may differ (RFC 8945, 10)
)

// letter is a message that is signed and can be sent.
type letter struct {
	id     uint16
	addr   string
	key    keyfile.Key
	signed []byte
	mac    string
}

// exchange signs a message, sends it and returns the signed answer. Errors: those of sign and send.
func (d *Driver) exchange(ctx context.Context, message *dns.Msg, doing string) (*dns.Msg, error) {
	l, err := d.sign(ctx, message, doing)
	if err != nil {
		return nil, err
	}
	return d.send(ctx, l, doing)
}

// sign packs and signs a message. Errors: *nameserver.Unreachable about the agent, *nameserver.Refused about the size.
func (d *Driver) sign(ctx context.Context, message *dns.Msg, doing string) (l letter, err error) {
	l.id = message.Id
	if l.addr, l.key, err = d.target(ctx); err != nil {
		return l, err
	}
	message.Compress = true
	message.SetTsig(l.key.Name, l.key.Algorithm, fudge, time.Now().Unix())
	if l.signed, l.mac, err = dns.TsigGenerate(message, secretOf(l.key), "", false); err != nil {
		return l, fmt.Errorf("sign a message, to %s: %w", doing, err)
	}
	if len(l.signed) > dns.MaxMsgSize {
		return l, &nameserver.Refused{Server: l.addr, Doing: doing, Reason: fmt.Sprintf("what changes at one name takes %d bytes, more than the %d of an update", len(l.signed), dns.MaxMsgSize)}
	}
	return l, nil
}

// send sends a message over TCP and returns the signed answer. A connection that was used before may be closed by now: the message is then
// sent again over a new one. Should named have seen it all the same, it changes nothing the second time, for its prerequisites hold no
// more. Errors: *nameserver.Unreachable, *nameserver.Refused about the key.
func (d *Driver) send(ctx context.Context, l letter, doing string) (*dns.Msg, error) {
	packed, err := d.over(ctx, l.addr, doing, l.signed)
	if err != nil {
		return nil, err
	}
	answer := new(dns.Msg)
	if err := answer.Unpack(packed); err != nil || answer.Id != l.id {
		return nil, d.unreachable(l.addr, doing, errors.Join(errors.New("the answer is no DNS message, or that of another question"), err))
	}
	var failed error
	if answer.IsTsig() != nil {
		failed = dns.TsigVerify(packed, secretOf(l.key), l.mac, false)
	}
	return answer, d.authentic(l.addr, doing, answer, failed)
}

func secretOf(key keyfile.Key) string { return base64.StdEncoding.EncodeToString(key.Secret) }

// dial connects to the DNS port.
func (d *Driver) dial(ctx context.Context, addr, doing string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, d.unreachable(addr, doing, err)
	}
	return conn, nil
}

func (d *Driver) unreachable(addr, doing string, cause error) error {
	d.forget() // the port may have changed
	return &nameserver.Unreachable{Server: addr, Doing: doing, Cause: cause}
}

// authentic refuses answers that are not signed with the key. failed is what the dns package found on reading.
func (d *Driver) authentic(addr, doing string, answer *dns.Msg, failed error) error {
	signature := answer.IsTsig()
	reason := ""
	switch {
	case signature != nil && signature.Error == dns.RcodeBadTime:
		reason = "the clocks of the two machines differ by more than five minutes"
	case signature != nil && signature.Error != dns.RcodeSuccess:
		reason = fmt.Sprintf("named does not accept the TSIG key (%s): name, algorithm and secret must be those of named.conf", dns.RcodeToString[int(signature.Error)])
	case signature == nil && answer.Rcode != dns.RcodeSuccess:
		reason = fmt.Sprintf("%s without a signature; is the TSIG key in named.conf?", dns.RcodeToString[answer.Rcode])
	case signature == nil:
		reason = "the answer is not signed"
	case answer.Rcode == dns.RcodeNotAuth:
		return nil // not authoritative for the zone; the dns package does not check the signature of this one
	case failed != nil:
		reason = fmt.Sprintf("the answer's signature is wrong: %v", failed)
	default:
		return nil
	}
	return &nameserver.Refused{Server: addr, Doing: doing, Reason: reason}
}

// checkKey asks a question that any server answers, to see whether it knows the key.
func (d *Driver) checkKey(ctx context.Context) error {
	question := new(dns.Msg).SetQuestion("version.bind.", dns.TypeTXT)
	question.Question[0].Qclass = dns.ClassCHAOS
	_, err := d.exchange(ctx, question, "answer under the TSIG key")
	return err
}

// soa returns the SOA of a zone. Errors: nameserver.ErrZoneUnknown.
func (d *Driver) soa(ctx context.Context, zone string) (*dns.SOA, error) {
	doing := "tell the serial of the zone " + zone
	question := new(dns.Msg).SetQuestion(zone, dns.TypeSOA)
	question.RecursionDesired = false
	answer, err := d.exchange(ctx, question, doing)
	if err != nil {
		return nil, err
	}
	if answer.Rcode == dns.RcodeServerFailure {
		return nil, &nameserver.Unreachable{Server: d.api.Host(), Doing: doing, Cause: errors.New("named has the zone but cannot load it; its log says why")}
	}
	for _, rr := range answer.Answer {
		if soa, ok := rr.(*dns.SOA); ok && answer.Authoritative && dns.CanonicalName(soa.Hdr.Name) == zone {
			return soa, nil
		}
	}
	return nil, nameserver.ErrZoneUnknown
}

// Serial asks for the SOA.
func (d *Driver) Serial(ctx context.Context, zone string) (serial uint32, found bool, err error) {
	soa, err := d.soa(ctx, zone)
	if errors.Is(err, nameserver.ErrZoneUnknown) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	return soa.Serial, true, nil
}

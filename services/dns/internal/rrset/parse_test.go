package rrset_test

import (
	"strings"
	"testing"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
)

const zone = "example.org."

func number(n int64) *int64 { return &n }

func TestParse(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("k", 300)
	for _, c := range []struct {
		draft rrset.Draft
		name  string
		value string
	}{
		{rrset.Draft{Name: "WWW.Example.org", Type: "a", Value: "192.0.2.1"}, "www.example.org.", "192.0.2.1"},
		{rrset.Draft{Name: "例子.example.org.", Type: "A", Value: " 192.0.2.1 "}, "xn--fsqu00a.example.org.", "192.0.2.1"},
		{rrset.Draft{Name: "www。example。org", Type: "A", Value: "192.0.2.1"}, "www.example.org.", "192.0.2.1"},
		{rrset.Draft{Name: "*.example.org", Type: "A", Value: "192.0.2.1"}, "*.example.org.", "192.0.2.1"},
		{rrset.Draft{Name: "a--b.r3---sn.example.org", Type: "A", Value: "192.0.2.1"}, "a--b.r3---sn.example.org.", "192.0.2.1"},
		{rrset.Draft{Name: "v6.example.org", Type: "AAAA", Value: "2001:DB8:0:0::1"}, "v6.example.org.", "2001:db8::1"},
		{rrset.Draft{Name: "c.example.org", Type: "CNAME", Value: "WWW.Example.Org"}, "c.example.org.", "www.example.org."},
		{rrset.Draft{Name: "_dmarc.example.org", Type: "CNAME", Value: "_dmarc.mail.example.net."}, "_dmarc.example.org.", "_dmarc.mail.example.net."},
		{rrset.Draft{Name: "example.org", Type: "MX", Value: "10 mail.example.org"}, zone, "10 mail.example.org."},
		{rrset.Draft{Name: "example.org", Type: "MX", Value: "mail.example.org", Priority: number(20)}, zone, "20 mail.example.org."},
		{rrset.Draft{Name: "example.org", Type: "MX", Value: "20 mail.example.org", Priority: number(20)}, zone, "20 mail.example.org."},
		{rrset.Draft{Name: "example.org", Type: "MX", Value: "0 ."}, zone, "0 ."},
		{rrset.Draft{Name: "example.org", Type: "NS", Value: "ns1.example.net"}, zone, "ns1.example.net."},
		{rrset.Draft{Name: "_sip._udp.example.org", Type: "SRV", Value: "10  60 5060 sip.example.org"}, "_sip._udp.example.org.", "10 60 5060 sip.example.org."},
		{rrset.Draft{Name: "_sip._udp.example.org", Type: "SRV", Value: "60 5060 sip.example.org", Priority: number(0)}, "_sip._udp.example.org.", "0 60 5060 sip.example.org."},
		{rrset.Draft{Name: "*._tcp.example.org", Type: "SRV", Value: "0 0 0 ."}, "*._tcp.example.org.", "0 0 0 ."},
		{rrset.Draft{Name: "example.org", Type: "TXT", Value: `v=spf1 include:x.example -all`}, zone, `"v=spf1 include:x.example -all"`},
		{rrset.Draft{Name: "example.org", Type: "TXT", Value: `a "b"; c\d $INCLUDE /etc/passwd (`}, zone, `"a \"b\"; c\\d $INCLUDE /etc/passwd ("`},
		{rrset.Draft{Name: "example.org", Type: "TXT", Value: `"one"  "t\"w\065o"`}, zone, `"one" "t\"wAo"`},
		{rrset.Draft{Name: "example.org", Type: "TXT", Value: `""`}, zone, `""`},
		{rrset.Draft{Name: "example.org", Type: "TXT", Value: "中"}, zone, `"\228\184\173"`},
		{rrset.Draft{Name: "example.org", Type: "TXT", Value: long}, zone, `"` + long[:255] + `" "` + long[255:] + `"`},
		{rrset.Draft{Name: "example.org", Type: "CAA", Value: `0 ISSUE "ca.example.net"`}, zone, `0 issue "ca.example.net"`},
		{rrset.Draft{Name: "example.org", Type: "CAA", Value: `128 issuewild ;`}, zone, `128 issuewild ";"`},
		{rrset.Draft{Name: "example.org", Type: "CAA", Value: `0 iodef mailto:ops@example.org`}, zone, `0 iodef "mailto:ops@example.org"`},
		{rrset.Draft{Name: "1.example.org", Type: "PTR", Value: "host.example.org"}, "1.example.org.", "host.example.org."},
		{rrset.Draft{Name: "example.org", Type: "SOA", Value: "NS1.example.org first.last@example.org 7 3600 600 86400 60"}, zone, `ns1.example.org. first\.last.example.org. 7 3600 600 86400 60`},
		{rrset.Draft{Name: "example.org", Type: "SOA", Value: `ns1.example.org first\.last.example.org. 7 3600 600 86400 60`}, zone, `ns1.example.org. first\.last.example.org. 7 3600 600 86400 60`},
	} {
		e, err := rrset.Parse(zone, 300, c.draft)
		require.NoError(t, err, c.draft)
		require.Equal(t, c.name, e.Name)
		require.Equal(t, strings.ToUpper(c.draft.Type), e.Type)
		require.Equal(t, c.value, e.Value)
		require.Equal(t, uint32(300), e.TTL)
		requireCanonical(t, e)
	}
}

// requireCanonical checks that an entry survives the wire and a second reading without a change.
func requireCanonical(t *testing.T, e rrset.Entry) {
	t.Helper()
	again, err := rrset.Parse(zone, e.TTL, rrset.Draft{Name: e.Name, Type: e.Type, Value: e.Value})
	require.NoError(t, err)
	require.Equal(t, e, again)
	rr, err := e.RR()
	require.NoError(t, err)
	wire := make([]byte, dns.MaxMsgSize)
	n, err := dns.PackRR(rr, wire, 0, nil, false)
	require.NoError(t, err)
	read, _, err := dns.UnpackRR(wire[:n], 0)
	require.NoError(t, err)
	require.Equal(t, e, rrset.FromRR(read))
}

func TestParseTTL(t *testing.T) {
	t.Parallel()
	for _, ttl := range []int64{0, 1, rrset.MaxTTL} {
		e, err := rrset.Parse(zone, 300, rrset.Draft{Name: "a.example.org", Type: "A", Value: "192.0.2.1", TTL: &ttl, Disabled: true})
		require.NoError(t, err)
		require.Equal(t, uint32(ttl), e.TTL)
		require.True(t, e.Disabled)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	a := func(name string) rrset.Draft { return rrset.Draft{Name: name, Type: "A", Value: "192.0.2.1"} }
	of := func(typ, value string) rrset.Draft {
		return rrset.Draft{Name: "example.org", Type: typ, Value: value}
	}
	srv := func(value string) rrset.Draft {
		return rrset.Draft{Name: "_sip._udp.example.org", Type: "SRV", Value: value}
	}
	for _, c := range []struct {
		draft rrset.Draft
		rule  rrset.Rule
	}{
		{a(""), rrset.RuleName},
		{a("."), rrset.RuleInZone},
		{a("www"), rrset.RuleInZone},
		{a("www.example.com"), rrset.RuleInZone},
		{a("notexample.org"), rrset.RuleInZone},
		{a("a..example.org"), rrset.RuleName},
		{a(".example.org"), rrset.RuleName},
		{a("-a.example.org"), rrset.RuleName},
		{a("a-.example.org"), rrset.RuleName},
		{a("a b.example.org"), rrset.RuleName},
		{a("a/b.example.org"), rrset.RuleName},
		{a(`a\.b.example.org`), rrset.RuleName},
		{a(`"a".example.org`), rrset.RuleName},
		{a("a;b.example.org"), rrset.RuleName},
		{a("$INCLUDE.example.org"), rrset.RuleName},
		{a("a(.example.org"), rrset.RuleName},
		{a("a@example.org"), rrset.RuleName},
		{a("xn--99999999.example.org"), rrset.RuleName},
		{a("a\nb.example.org"), rrset.RuleUnknownBytes},
		{a("a\x00.example.org"), rrset.RuleUnknownBytes},
		{a("a\xff.example.org"), rrset.RuleUnknownBytes},
		{a("a\u2028.example.org"), rrset.RuleUnknownBytes},
		{a(strings.Repeat("a", 64) + ".example.org"), rrset.RuleName},
		{a(strings.Repeat("a.", 122) + "example.org"), rrset.RuleName},
		{a("a*.example.org"), rrset.RuleWildcard},
		{a("www.*.example.org"), rrset.RuleWildcard},
		{a("**.example.org"), rrset.RuleWildcard},
		{a("_a.example.org"), rrset.RuleHostName},
		{rrset.Draft{Name: "_a.example.org", Type: "MX", Value: "1 m.example.org"}, rrset.RuleHostName},
		{rrset.Draft{Name: "*.example.org", Type: "NS", Value: "ns.example.org"}, rrset.RuleWildcard},
		{rrset.Draft{Name: "sip.example.org", Type: "SRV", Value: "1 1 1 m.example.org"}, rrset.RuleService},
		{rrset.Draft{Name: "_sip.example.org", Type: "SRV", Value: "1 1 1 m.example.org"}, rrset.RuleService},
		{rrset.Draft{Name: "a.example.org", Type: "SOA", Value: "n.example.org h.example.org 1 2 3 4 5"}, rrset.RuleAuthority},
		{of("", "x"), rrset.RuleType},
		{of("ANY", "x"), rrset.RuleType},
		{of("DNAME", "x.example.org"), rrset.RuleType},
		{of("A", ""), rrset.RuleValue},
		{of("A", "192.0.2.256"), rrset.RuleValue},
		{of("A", "192.0.2.01"), rrset.RuleValue},
		{of("A", "192.0.2.1 192.0.2.2"), rrset.RuleValue},
		{of("A", "192.0.2.1 ; x"), rrset.RuleValue},
		{of("A", "2001:db8::1"), rrset.RuleValue},
		{of("A", "192.0.2.1\n@ NS evil.example."), rrset.RuleUnknownBytes},
		{of("AAAA", "192.0.2.1"), rrset.RuleValue},
		{of("AAAA", "fe80::1%eth0"), rrset.RuleValue},
		{of("AAAA", "2001:db8::g"), rrset.RuleValue},
		{of("AAAA", "::ffff:192.0.2.1"), rrset.RuleValue},
		{of("CNAME", "192.0.2.1"), rrset.RuleTarget},
		{of("CNAME", "."), rrset.RuleTarget},
		{of("CNAME", "www"), rrset.RuleTarget},
		{of("CNAME", "*.example.org"), rrset.RuleWildcard},
		{of("CNAME", "a.example.org b.example.org"), rrset.RuleValue},
		{of("CNAME", "a.example.org;"), rrset.RuleName},
		{of("NS", "192.0.2.1"), rrset.RuleTarget},
		{of("NS", "2001:db8::1"), rrset.RuleName},
		{of("NS", "n_s.example.org"), rrset.RuleHostName},
		{of("NS", "."), rrset.RuleTarget},
		{of("MX", "mail.example.org"), rrset.RulePriority},
		{of("MX", "ten mail.example.org"), rrset.RuleValue},
		{of("MX", "65536 mail.example.org"), rrset.RuleValue},
		{of("MX", "-1 mail.example.org"), rrset.RuleValue},
		{of("MX", "10 192.0.2.1"), rrset.RuleTarget},
		{of("MX", "10 mail"), rrset.RuleTarget},
		{of("MX", "10 mail.example.org x"), rrset.RuleValue},
		{of("MX", "10 ( mail.example.org )"), rrset.RuleValue},
		{of("MX", "10 $INCLUDE"), rrset.RuleName},
		{rrset.Draft{Name: "example.org", Type: "MX", Value: "10 m.example.org", Priority: number(20)}, rrset.RulePriority},
		{rrset.Draft{Name: "example.org", Type: "MX", Value: "m.example.org", Priority: number(-1)}, rrset.RulePriority},
		{rrset.Draft{Name: "example.org", Type: "MX", Value: "m.example.org", Priority: number(65536)}, rrset.RulePriority},
		{rrset.Draft{Name: "example.org", Type: "A", Value: "192.0.2.1", Priority: number(1)}, rrset.RulePriority},
		{srv("1 1 sip.example.org"), rrset.RulePriority},
		{srv("1 1 65536 sip.example.org"), rrset.RuleValue},
		{srv("1 1 1 192.0.2.1"), rrset.RuleTarget},
		{srv("1"), rrset.RuleValue},
		{of("TXT", `"open`), rrset.RuleValue},
		{of("TXT", `"a" b`), rrset.RuleValue},
		{of("TXT", `"a\"`), rrset.RuleValue},
		{of("TXT", `"a\999"`), rrset.RuleValue},
		{of("TXT", `"a\1"`), rrset.RuleValue},
		{of("TXT", "a\nb"), rrset.RuleUnknownBytes},
		{of("TXT", "a\r"), rrset.RuleUnknownBytes},
		{of("TXT", " "), rrset.RuleValue},
		{of("TXT", strings.Repeat("a", rrset.MaxValue+1)), rrset.RuleTooLong},
		{of("CAA", "issue x.example.org"), rrset.RuleValue},
		{of("CAA", "1 issue x.example.org"), rrset.RuleValue},
		{of("CAA", "0 is_sue x.example.org"), rrset.RuleValue},
		{of("CAA", `0 issue "x.example.org`), rrset.RuleValue},
		{of("CAA", `0 issue "x.example.org" "y"`), rrset.RuleValue},
		{of("CAA", `0 issue "not a domain"`), rrset.RuleValue},
		{of("CAA", `0 iodef "ops@example.org"`), rrset.RuleValue},
		{of("CAA", `0 issue 中.example`), rrset.RuleValue},
		{of("PTR", "192.0.2.1"), rrset.RuleTarget},
		{of("SOA", "ns.example.org host.example.org 1 2 3 4"), rrset.RuleValue},
		{of("SOA", "ns.example.org host.example.org x 3600 600 86400 60"), rrset.RuleValue},
		{of("SOA", "ns.example.org host.example.org 1 3600 600 3600 60"), rrset.RuleValue},
		{of("SOA", "ns.example.org host.example.org 1 0 600 3600 60"), rrset.RuleValue},
		{of("SOA", "ns.example.org host;x@example.org 1 3600 600 86400 60"), rrset.RuleValue},
		{of("SOA", "192.0.2.1 host.example.org 1 3600 600 86400 60"), rrset.RuleTarget},
		{rrset.Draft{Name: "a.example.org", Type: "A", Value: "192.0.2.1", TTL: number(-1)}, rrset.RuleTTL},
		{rrset.Draft{Name: "a.example.org", Type: "A", Value: "192.0.2.1", TTL: number(rrset.MaxTTL + 1)}, rrset.RuleTTL},
	} {
		_, err := rrset.Parse(zone, 300, c.draft)
		var problem *rrset.Problem
		require.ErrorAs(t, err, &problem, "%q", c.draft)
		require.Equal(t, c.rule, problem.Rule, "%q: %v", c.draft, err)
		require.NotEmpty(t, problem.Record)
		for _, text := range []string{problem.Error(), problem.Localized()} {
			require.NotContains(t, text, "%!")
			require.NotContains(t, text, "\n")
			require.Contains(t, text, string(c.rule))
		}
		require.NotEqual(t, problem.Error(), problem.Localized())
	}
}

func TestParseZone(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"Example.ORG": zone, "中国.cn.": "xn--fiqs8s.cn.", "2.0.192.in-addr.arpa": "2.0.192.in-addr.arpa.", "test": "test.", "_msdcs.example.org": "_msdcs.example.org.",
	} {
		got, err := rrset.ParseZone(text)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, text := range []string{"", ".", "*.example.org", "192.0.2.1", "a/b.org", "../x", "a b", `x";};`, strings.Repeat("a", 64), "a\n"} {
		_, err := rrset.ParseZone(text)
		var problem *rrset.Problem
		require.ErrorAs(t, err, &problem, text)
	}
}

func TestReverseName(t *testing.T) {
	t.Parallel()
	require.Equal(t, "1.2.0.192.in-addr.arpa.", rrset.ReverseName("192.0.2.1"))
	require.Equal(t, "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.", rrset.ReverseName("2001:db8::1"))
	require.Empty(t, rrset.ReverseName("www.example.org."))
}

func FuzzParse(f *testing.F) {
	for _, seed := range [][2]string{
		{"A", "192.0.2.1"},
		{"AAAA", "2001:db8::1"},
		{"CNAME", "www.example.org"},
		{"MX", "10 mail.example.org"},
		{"NS", "ns.example.org."},
		{"TXT", `"a" "b\"c\000"`},
		{"TXT", `v=DKIM1; p=MIGf`},
		{"SRV", "1 2 3 s.example.org"},
		{"CAA", `0 issue "ca.example; x=y"`},
		{"PTR", "h.example.org"},
		{"SOA", `ns.example.org a\.b.example.org 1 3600 600 86400 60`},
	} {
		f.Add("_x._y.example.org", seed[0], seed[1])
		f.Add("example.org", seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, name, typ, value string) {
		e, err := rrset.Parse(zone, 300, rrset.Draft{Name: name, Type: typ, Value: value})
		if err != nil {
			require.NotContains(t, err.Error(), "\n")
			return
		}
		require.False(t, strings.ContainsAny(e.Name+e.Value, "\n\r\x00"))
		requireCanonical(t, e)
	})
}

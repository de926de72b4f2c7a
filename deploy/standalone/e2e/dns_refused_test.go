package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/pkg/apitest"
)

// refusal is a request that must be refused, and what the answer names.
type refusal struct {
	method, path string
	body         any
	status       int
	names        []string
}

// Bad input is refused with a 4xx that says what is wrong, and leaves database and server as they were.
func TestDNSRefusesBadInput(t *testing.T) {
	t.Parallel()
	o := sharedOpsdeck(t)
	onEach(t, func(t *testing.T, start func(t testing.TB) *nameServer) {
		s, other := newDNSStage(t, o, start(t)), newDNSStage(t, o, start(t))
		r := newRefusals(t, s, other)
		cases := r.all()
		require.GreaterOrEqual(t, len(cases), 150)
		stored, served := s.list(t), s.transfer(t)
		operations, domains := s.total(t, "/audit/dns-operations/?op_detail="+s.zone), s.total(t, s.path("domains/"))
		var wrong []string
		for i, c := range cases {
			h := apitest.HTTP{Method: c.method, Path: c.path, JSON: c.body}
			if raw, ok := c.body.(string); ok {
				h.JSON, h.Raw = nil, &raw
				h.Header = map[string]string{"Content-Type": "application/json"}
			}
			answer := s.do(t, h)
			want := apitest.HTTPAnswer{Status: []int{c.status}, Message: c.names}
			require.NotEmpty(t, c.names, "%d: a refusal names what is wrong", i)
			if problems := want.Problems(answer); len(problems) > 0 {
				wrong = append(wrong, fmt.Sprintf("%d: %s %s %v: %v: %s", i, c.method, c.path, c.body, problems, answer.Body))
			}
		}
		require.Empty(t, wrong, "%s", strings.Join(wrong, "\n"))
		require.Equal(t, stored, s.list(t))
		require.Equal(t, served, s.transfer(t))
		require.Equal(t, operations, s.total(t, "/audit/dns-operations/?op_detail="+s.zone))
		require.Equal(t, domains, s.total(t, s.path("domains/")))
	})
}

// total returns how many rows a list has.
func (s *dnsStage) total(t testing.TB, path string) (n int) {
	t.Helper()
	var got struct {
		Count int `json:"count"`
	}
	s.ok(t, apitest.HTTP{Method: "GET", Path: path}, &got)
	return got.Count
}

// refusals makes the table for a domain with an A at www and mail, a CNAME at alias, and another server's domain beside it.
type refusals struct {
	s, other          *dnsStage
	www, apexNS, soa  int64
	foreign           int64 // a record of the other domain
	long, label, huge string
}

func newRefusals(t testing.TB, s, other *dnsStage) refusals {
	t.Helper()
	r := refusals{s: s, other: other, long: strings.Repeat("a.", 130) + s.zone, label: strings.Repeat("a", 64), huge: strings.Repeat("x", 9000)}
	r.www = s.add(t, "www."+s.zone, "A", "192.0.2.1", nil).ID
	s.add(t, "alias."+s.zone, "CNAME", "www."+s.zone+".", nil)
	s.add(t, "mail."+s.zone, "A", "192.0.2.2", nil)
	s.add(t, s.zone, "MX", "10 mail."+s.zone+".", nil)
	r.foreign = other.add(t, "www."+other.zone, "A", "192.0.2.1", nil).ID
	for _, record := range s.list(t) {
		switch record.Type {
		case "NS":
			r.apexNS = record.ID
		case "SOA":
			r.soa = record.ID
		}
	}
	return r
}

func (r refusals) all() []refusal {
	var all []refusal
	for _, part := range [][]refusal{r.names(), r.values(), r.together(), r.numbers(), r.injections(), r.ids(), r.domains(), r.servers(), r.plans(), r.shapes()} {
		all = append(all, part...)
	}
	return all
}

// create is a record that must be refused.
func (r refusals) create(name, typ, value string, names ...string) refusal {
	return refusal{"POST", r.s.records(""), object{"name": name, "type": typ, "value": value}, 400, names}
}

func (r refusals) names() []refusal {
	z := r.s.zone
	var all []refusal
	for _, name := range []string{
		"", "www", "www.example.com", "." + z, "a.." + z, "-a." + z, "a-." + z, "a b." + z, "a/b." + z, "a'b." + z, `a"b.` + z, "a;b." + z, "a(b." + z,
		"a\\b." + z, "a@b." + z, "a$b." + z, "a%62." + z, "a<b>." + z, "*a." + z, "a*." + z, "a.*." + z, "**." + z, r.label + "." + z, r.long, z + ".com",
		"x" + z, "a\tb." + z, "a\x00b." + z, "\u2028." + z, "xn--\u00e9." + z, "a b", "..", ".",
	} {
		all = append(all, r.create(name, "A", "192.0.2.9", "name"))
	}
	return append(all,
		r.create("under_score."+z, "A", "192.0.2.9", "underscore"), r.create("sip."+z, "SRV", "1 2 3 a.example.", "SRV"),
		r.create("*."+z, "NS", "ns.example.", "wildcard"), r.create("sub."+z, "SOA", "ns.example. h.example. 1 2 3 4 5", "SOA"))
}

func (r refusals) values() []refusal {
	z := r.s.zone
	var all []refusal
	for typ, values := range map[string][]string{
		"A":     {"", " ", "x", "192.0.2", "192.0.2.256", "192.0.2.01", "1.2.3.4.5", "2001:db8::1", "192.0.2.1/24", "192.0.2.1 192.0.2.2", "0x7f000001", "::ffff:192.0.2.1", "www.example.org."},
		"AAAA":  {"192.0.2.1", "2001:db8::g", "2001:db8::1%eth0", "1:2:3:4:5:6:7:8:9", "[2001:db8::1]"},
		"CNAME": {"192.0.2.1", "relative", "a..b.", ".", "*.example.", "two words.", "http://example.org/"},
		"MX":    {"mail.example.", "10", "10 192.0.2.1", "70000 mail.example.", "-1 mail.example.", "ten mail.example.", "10 mail", "10 mail.example. 20", "10 ma_il.example."},
		"NS":    {"192.0.2.1", "ns", "ns_1.example.", "*.example."},
		"TXT":   {`"open`, `"a" b`, `"bad \999 escape"`, `"end\`, "line\nend", "nul\x00"},
		"SRV":   {"1 2 3", "1 2 70000 a.example.", "1 2 3 192.0.2.1", "a b c d.example."},
		"CAA":   {"issue ca.example", "1 issue ca.example", `0 iss-ue "ca.example"`, `0 issue "a" "b"`, "0 issue", "256 issue x", `0 iodef "ftp://x"`},
		"PTR":   {"192.0.2.1", "relative", "."},
	} {
		name := "x." + z
		if typ == "SRV" {
			name = "_sip._tcp." + z
		}
		for _, value := range values {
			all = append(all, r.create(name, typ, value, "value"))
		}
	}
	for _, typ := range []string{"", "B", "ANY", "AXFR", "HINFO", "TYPE1", "A ", "a\nA"} {
		all = append(all, r.create("x."+z, typ, "192.0.2.9", "type"))
	}
	return append(all, r.create("x."+z, "TXT", r.huge, "value", "8192"))
}

// together are records that are good alone and break a rule of the zone.
func (r refusals) together() []refusal {
	z := r.s.zone
	remove := func(id int64, names ...string) refusal {
		return refusal{"DELETE", r.s.records(fmt.Sprint(id)), nil, 400, names}
	}
	return []refusal{
		r.create("www."+z, "A", "192.0.2.1", "duplicate"), r.create("WWW."+strings.ToUpper(z)+".", "a", "192.0.2.1", "duplicate"),
		r.create("www."+z, "CNAME", "a.example.", "cname"), r.create("alias."+z, "A", "192.0.2.9", "cname"),
		r.create("alias."+z, "CNAME", "b.example.", "cname"), r.create(z, "CNAME", "a.example.", "CNAME"),
		r.create(z, "MX", "20 alias."+z+".", "target_alias"), r.create("child."+z, "NS", "alias."+z+".", "target_alias"),
		r.create("_sip._tcp."+z, "SRV", "1 2 3 alias."+z+".", "target_alias"), r.create(z, "MX", "0 .", "null_target"),
		r.create(z, "SOA", "ns.example. h.example. 1 3600 600 86400 300", "soa"),
		remove(r.apexNS, "NS"), remove(r.soa, "SOA"),
		{"POST", r.s.records("actions/disable/"), []object{{"id": r.apexNS}}, 400, []string{"NS"}},
		{"POST", r.s.records("actions/disable/"), []object{{"id": r.soa}}, 400, []string{"SOA"}},
		{"PATCH", r.s.records(fmt.Sprint(r.apexNS)), object{"name": "child." + z}, 400, []string{"NS"}},
		{"PATCH", r.s.records(fmt.Sprint(r.www)), object{"type": "CNAME"}, 400, []string{"value"}},
		{"PATCH", r.s.records(fmt.Sprint(r.www)), object{"name": "alias." + z}, 400, []string{"cname"}},
	}
}

func (r refusals) numbers() []refusal {
	z := r.s.zone
	var all []refusal
	for _, ttl := range []any{-1, 2147483648, 4294967296, "x", 1.5, true, "1h"} {
		all = append(all, refusal{"POST", r.s.records(""), object{"name": "x." + z, "type": "A", "value": "192.0.2.9", "ttl": ttl}, 400, []string{"ttl"}})
	}
	for _, priority := range []any{-1, 65536, "x"} {
		all = append(all, refusal{"POST", r.s.records(""), object{"name": z, "type": "MX", "value": "a.example.", "priority": priority}, 400, []string{"priority"}})
	}
	return append(all,
		refusal{"POST", r.s.records(""), object{"name": z, "type": "MX", "value": "10 a.example.", "priority": 20}, 400, []string{"priority"}},
		refusal{"POST", r.s.records(""), object{"name": "x." + z, "type": "A", "value": "192.0.2.9", "priority": 1}, 400, []string{"priority"}},
		refusal{"POST", r.s.records(""), object{"name": "www." + z, "type": "A", "value": "192.0.2.9", "ttl": 60}, 400, []string{"ttl"}},
		refusal{"POST", r.s.records(""), object{"name": "x." + z, "type": "A", "value": "192.0.2.9", "ptr": true}, 409, []string{"reverse"}},
		refusal{"POST", r.s.records(""), object{"name": "x." + z, "type": "TXT", "value": "x", "ptr": true}, 400, []string{"ptr"}})
}

// injections try to leave their field.
func (r refusals) injections() []refusal {
	z := r.s.zone
	return []refusal{
		r.create("x."+z+". 1 IN A 192.0.2.66\ny."+z, "A", "192.0.2.9", "name"), r.create("x."+z, "A", "192.0.2.9\ny 1 IN A 192.0.2.66", "value"),
		r.create("x."+z, "A", "192.0.2.9 ; comment", "value"), r.create("x."+z, "A", "$INCLUDE /etc/passwd", "value"),
		r.create("$ORIGIN."+z, "A", "192.0.2.9", "name"), r.create("x."+z, "CNAME", "a.example. ; b", "value"),
		r.create("x."+z, "CNAME", "(a.example.)", "value"), r.create("x."+z, "MX", "10 a.example.\r\n", "value"),
		r.create("x."+z, "TXT", "a\r\n$GENERATE 1-9 a A 1", "value"), r.create("x."+z, "TXT", "\"a\"\n\"b\"", "value"),
		r.create("x'; DROP TABLE dns.records; --."+z, "A", "192.0.2.9", "name"), r.create("x."+z, "A", "192.0.2.9'; --", "value"),
		r.create("../../zones."+z, "A", "192.0.2.9", "name"),
	}
}

func (r refusals) ids() []refusal {
	s, other := r.s, r.other
	swapped := fmt.Sprintf("/dns-services/%d/domains/%d/", s.id, other.domain)
	a := object{"name": "x." + other.zone, "type": "A", "value": "192.0.2.9"}
	return []refusal{
		{"GET", "/dns-services/999999999/domains/", nil, 404, []string{"999999999"}},
		{"POST", "/dns-services/999999999/domains/", object{"name": "a.example"}, 404, []string{"999999999"}},
		{"GET", s.path("domains/999999999/records/"), nil, 404, []string{"999999999"}},
		{"POST", s.path("domains/999999999/records/"), a, 404, []string{"999999999"}},
		{"GET", swapped + "records/", nil, 404, []string{"domain"}},
		{"POST", swapped + "records/", a, 404, []string{"domain"}},
		{"PATCH", swapped, object{"name": "b.example"}, 404, []string{"domain"}},
		{"DELETE", swapped, nil, 404, []string{"domain"}},
		{"GET", swapped + "drift/", nil, 404, []string{"domain"}},
		{"GET", swapped + "export/", nil, 404, []string{"domain"}},
		{"DELETE", s.records(fmt.Sprint(r.foreign)), nil, 404, []string{"record"}},
		{"PATCH", s.records(fmt.Sprint(r.foreign)), object{"value": "192.0.2.9"}, 404, []string{"record"}},
		{"POST", s.records("actions/disable/"), []object{{"id": r.www}, {"id": r.foreign}}, 404, []string{"record"}},
		{"POST", s.records("actions/enable/"), []object{{"id": r.foreign}}, 404, []string{"record"}},
		{"POST", s.records("actions/disable/"), []object{{"id": 0}}, 400, []string{"id"}},
		{"POST", s.records("actions/disable/"), []object{{"id": -1}}, 400, []string{"id"}},
		{"DELETE", s.records(""), object{"id": "x"}, 400, []string{"id"}},
		{"GET", s.records("?page=0"), nil, 400, []string{"page"}},
		{"GET", s.records("?page_size=101"), nil, 400, []string{"page_size"}},
		{"GET", s.records("?type=ANY"), nil, 400, []string{"type"}},
	}
}

func (r refusals) domains() []refusal {
	var all []refusal
	for _, name := range []string{
		"", ".", "..", "a..example", "*.example", "192.0.2.1", "a b.example", "a\nb.example", "-a.example", r.label + ".example", "a/b.example", "../../etc/passwd",
		`a".example`, "a;b.example",
	} {
		all = append(all, refusal{"POST", r.s.path("domains/"), object{"name": name}, 400, []string{"name"}})
	}
	return append(all,
		refusal{"POST", r.s.path("domains/"), object{"name": r.s.zone}, 409, []string{r.s.zone}},
		refusal{"POST", r.s.path("domains/"), object{"name": "a.example", "hostmaster": "@@"}, 400, []string{"hostmaster"}},
		refusal{"POST", r.s.path("domains/"), object{"name": "a.example", "name_servers": []string{"192.0.2.1"}}, 400, []string{"name_servers"}},
		refusal{"POST", r.s.path("domains/"), object{"name": "a.example", "default_ttl": -1}, 400, []string{"default_ttl"}},
		refusal{"POST", r.s.path("actions/import/"), object{"name": "not-there.example", "dry_run": true}, 409, []string{"no such zone"}})
}

func (r refusals) servers() []refusal {
	create := func(with object, status int, names ...string) refusal {
		body := object{"name": "x", "type": r.s.server.kind, "api_endpoint": r.s.server.endpoint, "description": "d"}
		for name, value := range r.s.server.credentials {
			body[name] = value
		}
		for name, value := range with {
			body[name] = value
		}
		return refusal{"POST", "/dns-services/", body, status, names}
	}
	var all []refusal
	for _, endpoint := range []string{"", "x", "ftp://127.0.0.1/", "file:///etc/passwd", "http://", "http://user:secret@127.0.0.1/", "http://127.0.0.1/?a=b", "http://127.0.0.1/#a", "gopher://127.0.0.1:25/"} {
		all = append(all, create(object{"api_endpoint": endpoint}, 400, "api_endpoint"))
	}
	return append(all, create(object{"type": "djbdns"}, 400, "type"), create(object{"name": ""}, 400, "name"), create(object{"name": strings.Repeat("n", 200)}, 400, "name"),
		create(object{"name": "server " + r.s.zone}, 409, "already"), create(object{"name": "a\nb"}, 400, "name"))
}

func (r refusals) plans() []refusal {
	s, z := r.s, r.s.zone
	path := func(action string) string { return s.path(fmt.Sprintf("domains/%d/actions/%s/", s.domain, action)) }
	bulk := s.records("actions/create/")
	good := object{"name": "x." + z, "type": "A", "value": "192.0.2.9"}
	return []refusal{
		{"POST", bulk, []object{good, {"name": "y." + z, "type": "A", "value": "x"}}, 400, []string{"y." + z}},
		{"POST", bulk, []object{good, good}, 400, []string{"duplicate"}},
		{"POST", bulk, []object{}, 400, []string{"body"}},
		{"POST", bulk, object{"x": 1}, 400, []string{"body"}},
		{"POST", path("plan"), object{"records": []object{{"name": "x." + z, "type": "A", "value": "x"}}}, 400, []string{"value"}},
		{"POST", path("plan"), object{"delete": []object{{"name": "x.example", "type": "A"}}}, 400, []string{"name"}},
		{"POST", path("plan"), object{"delete": []object{{"name": z, "type": "SOA"}}}, 400, []string{"SOA"}},
		{"POST", path("apply"), object{"records": []object{good}}, 400, []string{"fingerprint"}},
		{"POST", path("apply"), object{"records": []object{good}, "fingerprint": "x"}, 409, []string{"plan again"}},
		{"POST", path("import"), object{"source": "zone", "content": "$INCLUDE /etc/passwd\n"}, 400, []string{"line 1"}},
		{"POST", path("import"), object{"source": "zone", "content": "x." + z + ". 60 IN A x\n"}, 400, []string{"line 1"}},
		{"POST", path("import"), object{"source": "csv", "content": "a,b\n"}, 400, []string{"column"}},
		{"POST", path("import"), object{"source": "xls", "content": "x"}, 400, []string{"source"}},
		{"POST", path("import"), object{"source": "zone", "content": ""}, 400, []string{"content"}},
		{"POST", path("rollback"), object{"change_id": 999999999}, 404, []string{"999999999"}},
		{"POST", path("rollback"), object{}, 400, []string{"change_id"}},
	}
}

// shapes are bodies that are not what they should be.
func (r refusals) shapes() []refusal {
	return []refusal{
		{"POST", r.s.records(""), "", 400, []string{"body"}},
		{"POST", r.s.records(""), "{", 400, []string{"body"}},
		{"POST", r.s.records(""), "[]", 400, []string{"body"}},
		{"POST", r.s.records(""), `{"name":1,"type":"A","value":"x"}`, 400, []string{"name"}},
		{"POST", r.s.records(""), `{"nome":"x"}`, 400, []string{"nome"}},
		{"POST", r.s.records(""), `{"name":"a","name":"b"}`, 400, []string{"name"}},
		{"POST", r.s.records("actions/disable/"), `[1]`, 400, []string{"[0]"}},
		{"PATCH", r.s.records(fmt.Sprint(r.www)), `{"value":null}`, 400, []string{"value"}},
	}
}

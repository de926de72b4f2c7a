package powerdns

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/opsdeck/opsdeck/services/dns/internal/endpoint"
	"github.com/opsdeck/opsdeck/services/dns/internal/nameserver"
	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
)

// maxBody is the most bytes of changes in one request; the server takes 2 MB unless webserver-max-bodysize says more.
const maxBody = 1_900_000

// Apply implements nameserver.Driver; see Driver for what it cannot see.
func (d *Driver) Apply(ctx context.Context, zone string, reshapes bool, changes []rrset.Change) error {
	if len(changes) == 0 {
		return nil
	}
	info, err := d.info(ctx, zone)
	if err != nil {
		return err
	}
	if info.SOAEditAPI == "" {
		return &nameserver.Refused{Server: d.api.Name(), Doing: "change the zone " + zone, Reason: fmt.Sprintf(
			"the server would not count the zone's serial, so secondaries would miss the change: run pdnsutil set-meta %s SOA-EDIT-API INCREASE", strings.TrimSuffix(zone, "."))}
	}
	pending, err := d.pending(ctx, zone, changes)
	if err != nil || len(pending) == 0 {
		return err
	}
	if err := d.rectify(ctx, zone, info, reshapes); err != nil {
		return err
	}
	err = nameserver.Push(ctx, pending, func(ctx context.Context, part []rrset.Change) error { return d.patch(ctx, zone, info.Serial, part) })
	if err == nil && info.notifies() {
		d.notify(ctx, zone)
	}
	return err
}

// pending cuts changes into requests and leaves out those that are made already. Every conflict that can be seen is reported here, before
// anything is written.
func (d *Driver) pending(ctx context.Context, zone string, changes []rrset.Change) ([][]rrset.Change, error) {
	names := map[string]bool{}
	for _, c := range changes {
		names[c.Key().Name] = true
	}
	found, err := d.live(ctx, zone, names)
	if err != nil {
		return nil, err
	}
	var pending [][]rrset.Change
	for _, part := range nameserver.Split(changes, size, maxBody) {
		done, err := nameserver.Judge(part, found)
		if err != nil {
			return nil, err
		}
		if !done {
			pending = append(pending, part)
		}
	}
	return pending, nameserver.Alias(changes, found)
}

// size is what a change adds to a request, in bytes.
func size(c rrset.Change) int {
	text, err := json.Marshal(wireChange(c, 0))
	if err != nil {
		return maxBody // cannot be: it holds only strings and numbers
	}
	return len(text) + 1
}

// wireChange replaces the whole set, or deletes it. The server counts an SOA's serial on from the one it is given.
func wireChange(c rrset.Change, serial uint32) wireSet {
	if c.After == nil {
		return wireSet{Name: c.Key().Name, Type: c.Key().Type, ChangeType: "DELETE"}
	}
	w := wire(c.After)
	w.ChangeType = "REPLACE"
	if w.Type == "SOA" {
		for i, r := range w.Records {
			if f := strings.Fields(r.Content); len(f) > 2 {
				f[2] = strconv.FormatUint(uint64(serial), 10)
				w.Records[i].Content = strings.Join(f, " ")
			}
		}
	}
	return w
}

// patch makes changes in one request, which is one transaction of the server; it drops what its caches hold of the zone. What goes comes first,
// because the server checks that a CNAME stands alone after each set.
func (d *Driver) patch(ctx context.Context, zone string, serial uint32, changes []rrset.Change) error {
	var sets, last []wireSet
	for _, c := range changes {
		if c.After.Live() == nil {
			sets = append(sets, wireChange(c, serial))
		} else {
			last = append(last, wireChange(c, serial))
		}
	}
	sets = append(sets, last...)
	request := endpoint.Request{Method: http.MethodPatch, Path: zonePath(zone), Body: map[string]any{"rrsets": sets}, Doing: "change the zone " + zone}
	return unknown(d.api.Fetch(ctx, request, smallAnswer, nil))
}

// notify tells secondaries at once; the server does so by itself within a minute, so that a failure costs only time.
func (d *Driver) notify(ctx context.Context, zone string) {
	_ = d.api.Fetch(ctx, endpoint.Request{Method: http.MethodPut, Path: zonePath(zone) + "/notify", Doing: "notify secondaries of the zone " + zone}, smallAnswer, nil)
}

// flush drops what the server's caches hold of a name.
func (d *Driver) flush(ctx context.Context, name string) error {
	request := endpoint.Request{
		Method: http.MethodPut, Path: "api/v1/servers/localhost/cache/flush", Query: url.Values{"domain": {name}}, Doing: "flush its cache of " + name,
	}
	return d.api.Fetch(ctx, request, smallAnswer, nil)
}

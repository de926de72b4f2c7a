// Package bind drives BIND: zones through opsdeck-bind-agent, which runs beside named, and records by DNS itself, with dynamic updates
// (RFC 2136) and transfers under TSIG.
package bind

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"github.com/opsdeck/opsdeck/pkg/secret"
	"github.com/opsdeck/opsdeck/services/dns/internal/agentapi"
	"github.com/opsdeck/opsdeck/services/dns/internal/endpoint"
	"github.com/opsdeck/opsdeck/services/dns/internal/jsonstream"
	"github.com/opsdeck/opsdeck/services/dns/internal/keyfile"
	"github.com/opsdeck/opsdeck/services/dns/internal/nameserver"
	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
)

// Config says which server, and as whom.
type Config struct {
	Endpoint string         // base URL of the agent, http://127.0.0.1:8053/
	Token    secret.Text    // of the agent
	Key      keyfile.Key    // TSIG key for updates and transfers; an empty name means the one the agent tells
	Roots    *x509.CertPool // certificates that sign the agent's; nil: the system's
}

// Driver implements nameserver.Driver.
//
// What a change is made from is a prerequisite of the update: named compares and changes in one step, so nobody's edit is
// overwritten. Prerequisites do not compare TTLs. A change to sets that exist therefore reads them first and makes the zone's serial a
// prerequisite too; when the zone moved meanwhile, it reads again.
//
// Somebody who knows at which serial the zone held all that a change is made from (Follow) has that serial compared, and nothing else: that says the
// same with one prerequisite. When the zone is at another serial, the sets are compared as ever.
//
// One update holds about 60 kB: some 800 new sets of one record, 1,600 when only the serial is compared. More are made in several smaller updates (docs/decisions/0051), in the order of their names, all changes
// of a name in one. Each is atomic; all their prerequisites are checked before the first is made, a conflict that appears in between undoes
// those made before it, and a repeated push goes on where the first one was cut off (nameserver.Push). Between the first and the last
// update, which takes well under a second for 10,000 sets, resolvers see some of the changes. The alternative, to freeze the zone, write its file anew
// and load it, is atomic but costs what the zone is large, and refuses everybody's updates meanwhile; docs/decisions/0029 has the figures.
//
// Disabled records are not on the server.
type Driver struct {
	api  *endpoint.Client
	key  keyfile.Key
	mu   sync.Mutex
	seen *agentapi.Server // what the agent told; nil: not asked yet, or doubtful
	idle []line           // connections to named that are used again
}

// New returns a driver. It asks nothing yet.
func New(cfg Config) (*Driver, error) {
	api, err := endpoint.New(cfg.Endpoint, "Authorization", "Bearer "+cfg.Token, cfg.Roots)
	if err != nil {
		return nil, err
	}
	return &Driver{api: api, key: cfg.Key}, nil
}

// Close ends idle connections.
func (d *Driver) Close() {
	d.api.Close()
	d.hangUp()
}

// KeepsDisabled is false: BIND has no such flag.
func (*Driver) KeepsDisabled() bool { return false }

const (
	leastVersion = 18 // of BIND 9, what the tests run against
	smallAnswer  = 1 << 20
	largestList  = 1 << 28 // bytes, about 10 million zones
)

// Check asks the agent, and named with a signed question.
func (d *Driver) Check(ctx context.Context) error {
	d.forget()
	server, err := d.server(ctx)
	if err != nil {
		return err
	}
	if minor, ok := strings.CutPrefix(server.Version, "9."); ok {
		minor, _, _ = strings.Cut(minor, ".")
		if n, err := strconv.Atoi(minor); err == nil && n < leastVersion {
			return &nameserver.Refused{Server: d.api.Name(), Doing: "tell its version", Reason: fmt.Sprintf("it is BIND %.40q, want 9.%d or newer", server.Version, leastVersion)}
		}
	}
	return d.checkKey(ctx)
}

// server returns what the agent tells, asked once.
func (d *Driver) server(ctx context.Context) (agentapi.Server, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.seen != nil {
		return *d.seen, nil
	}
	var server agentapi.Server
	request := endpoint.Request{Method: http.MethodGet, Path: "v1/server", Doing: "describe its name server"}
	if err := d.api.Fetch(ctx, request, smallAnswer, &server); err != nil {
		return server, err
	}
	if server.DNSPort < 1 || server.DNSPort > 65535 {
		return server, &nameserver.Refused{Server: d.api.Name(), Doing: request.Doing, Reason: "the answer is not that of an opsdeck-bind-agent"}
	}
	d.seen = &server
	return server, nil
}

// forget makes the next call ask the agent again.
func (d *Driver) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen = nil
}

// target returns where DNS is spoken and under which key.
func (d *Driver) target(ctx context.Context) (addr string, key keyfile.Key, err error) {
	server, err := d.server(ctx)
	if err != nil {
		return "", key, err
	}
	key = d.key
	if key.Name == "" {
		key.Name = server.TSIGKey
	}
	return net.JoinHostPort(d.api.Host(), strconv.Itoa(server.DNSPort)), key, nil
}

// CreateZone lets the agent write the zone's file and add the zone.
func (d *Driver) CreateZone(ctx context.Context, zone string, sets []rrset.Set) error {
	var content strings.Builder
	for i := range sets {
		for _, e := range sets[i].Live().Entries() {
			rr, err := e.RR()
			if err != nil {
				return err
			}
			content.WriteString(rr.String() + "\n")
		}
	}
	request := endpoint.Request{Method: http.MethodPost, Path: "v1/zones", Body: agentapi.NewZone{Name: zone, Content: content.String()}, Doing: "create the zone " + zone}
	err := d.api.Fetch(ctx, request, smallAnswer, nil)
	if endpoint.Code(err) == http.StatusConflict {
		return nameserver.Created(ctx, d, zone, sets)
	}
	return err
}

// DeleteZone lets the agent remove the zone with its files.
func (d *Driver) DeleteZone(ctx context.Context, zone string) error {
	return d.api.Fetch(ctx, endpoint.Request{Method: http.MethodDelete, Path: zonePath(zone), Doing: "delete the zone " + zone}, smallAnswer, nil)
}

func zonePath(zone string) string { return "v1/zones/" + url.PathEscape(zone) }

// configuration returns the zone's clause of named.conf, for messages; "" when it cannot be had.
func (d *Driver) configuration(ctx context.Context, zone string) string {
	var shown agentapi.Zone
	request := endpoint.Request{Method: http.MethodGet, Path: zonePath(zone), Doing: "show the zone " + zone}
	if err := d.api.Fetch(ctx, request, smallAnswer, &shown); err != nil {
		return ""
	}
	return shown.Configuration
}

// Zones streams the agent's list.
func (d *Driver) Zones(ctx context.Context, yield func(zone string) error) (err error) {
	request := endpoint.Request{Method: http.MethodGet, Path: "v1/zones", Doing: "list its zones"}
	response, err := d.api.Do(ctx, request)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	if err := d.api.Check(response, request.Doing); err != nil {
		return err
	}
	in := json.NewDecoder(io.LimitReader(response.Body, largestList))
	var own error // of the caller
	err = jsonstream.Fields(in, func(name string) error {
		if name != "zones" {
			return jsonstream.Skip(in)
		}
		return jsonstream.Each(in, func() error {
			var zone string
			if err := in.Decode(&zone); err != nil {
				return err
			}
			own = yield(zone)
			return own
		})
	})
	if own != nil {
		return own
	}
	if err != nil {
		return d.api.Unreachable(request.Doing, fmt.Errorf("unusable answer: %w", err))
	}
	return nil
}

package powerdns

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/opsdeck/opsdeck/services/dns/internal/endpoint"
	"github.com/opsdeck/opsdeck/services/dns/internal/jsonstream"
	"github.com/opsdeck/opsdeck/services/dns/internal/nameserver"
	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
)

// largestZone bounds the answer with a whole zone, which is decoded set by set: about 4 million records.
const largestZone = 1 << 30

// Kinds of zones that have their origin here, as the API names them; newer versions say Primary for Master.
const (
	native      = "Native"
	primary     = "Master"
	primaryName = "Primary"
)

// zoneInfo is what the API says about a zone besides its content.
type zoneInfo struct {
	Name       string `json:"name"`
	Kind       string `json:"kind"`
	Serial     uint32 `json:"serial"`
	SOAEditAPI string `json:"soa_edit_api"`
	DNSSEC     bool   `json:"dnssec"`
	Rectifies  bool   `json:"api_rectify"` // the server was told to, with every change; it may do so untold
}

func (z zoneInfo) ours() bool { return z.Kind == native || z.notifies() }

func (z zoneInfo) notifies() bool { return z.Kind == primary || z.Kind == primaryName }

// info asks for a zone without its content.
func (d *Driver) info(ctx context.Context, zone string) (zoneInfo, error) {
	var info zoneInfo
	request := endpoint.Request{Method: http.MethodGet, Path: zonePath(zone), Query: url.Values{"rrsets": {"false"}}, Doing: "read the zone " + zone}
	if err := d.api.Fetch(ctx, request, smallAnswer, &info); err != nil {
		return info, unknown(err)
	}
	if !info.ours() {
		return info, nameserver.ErrZoneUnknown
	}
	return info, nil
}

// CreateZone makes the zone and all sets in one request; the server then counts the serial with every change.
func (d *Driver) CreateZone(ctx context.Context, zone string, sets []rrset.Set) error {
	kind := primary
	if d.native {
		kind = native
	}
	body := map[string]any{"name": zone, "kind": kind, "nameservers": []string{}, "soa_edit_api": "INCREASE", "rrsets": wireSets(sets)}
	request := endpoint.Request{
		Method: http.MethodPost, Path: "api/v1/servers/localhost/zones", Query: url.Values{"rrsets": {"false"}}, Body: body, Doing: "create the zone " + zone,
	}
	err := d.api.Fetch(ctx, request, smallAnswer, nil)
	if endpoint.Code(err) == http.StatusConflict {
		err = nameserver.Created(ctx, d, zone, sets)
	}
	if err != nil {
		return err
	}
	// The server forgets by itself what it cached of a zone that it changes or deletes, but not that there was none.
	return d.flush(ctx, zone)
}

// DeleteZone removes the zone with all it holds.
func (d *Driver) DeleteZone(ctx context.Context, zone string) error {
	err := d.api.Fetch(ctx, endpoint.Request{Method: http.MethodDelete, Path: zonePath(zone), Doing: "delete the zone " + zone}, smallAnswer, nil)
	if endpoint.Code(err) == http.StatusNotFound {
		return nil
	}
	return err
}

// rectify says whether the server is to look at the whole zone in the transaction of every change from now on: a signed zone has an order of all its
// records, and some changes alter which names are empty. By default it does, and shows that no more than that it was told not to.
func (d *Driver) rectify(ctx context.Context, zone string, info zoneInfo, on bool) error {
	on = on || info.DNSSEC
	if _, off := d.unrectified.Load(zone); info.Rectifies == on && (on || off) {
		return nil
	}
	d.unrectified.Delete(zone)
	request := endpoint.Request{
		Method: http.MethodPut, Path: zonePath(zone), Body: map[string]any{"api_rectify": on}, Doing: "say when to rectify the zone " + zone,
	}
	if err := d.api.Fetch(ctx, request, smallAnswer, nil); err != nil {
		return unknown(err)
	}
	if !on {
		d.unrectified.Store(zone, true)
	}
	return nil
}

// Serial asks for the zone without its content.
func (d *Driver) Serial(ctx context.Context, zone string) (serial uint32, found bool, err error) {
	info, err := d.info(ctx, zone)
	if errors.Is(err, nameserver.ErrZoneUnknown) {
		return 0, false, nil
	}
	return info.Serial, err == nil, err
}

// Zones streams the server's list.
func (d *Driver) Zones(ctx context.Context, yield func(zone string) error) error {
	request := endpoint.Request{Method: http.MethodGet, Path: "api/v1/servers/localhost/zones", Query: url.Values{"dnssec": {"false"}}, Doing: "list its zones"}
	return d.stream(ctx, request, func(answer *json.Decoder) error {
		return jsonstream.Each(answer, func() error {
			var info zoneInfo
			if err := answer.Decode(&info); err != nil || !info.ours() {
				return err
			}
			return caller(yield(info.Name))
		})
	})
}

// Transfer streams the whole zone.
func (d *Driver) Transfer(ctx context.Context, zone string, yield func(rrset.Set) error) error {
	request := endpoint.Request{Method: http.MethodGet, Path: zonePath(zone), Doing: "read the content of the zone " + zone}
	info := zoneInfo{Kind: native}
	err := d.stream(ctx, request, func(answer *json.Decoder) error {
		return jsonstream.Fields(answer, func(name string) error {
			switch name {
			case "kind": // comes in front of the content
				return answer.Decode(&info.Kind)
			case "rrsets":
				if !info.ours() {
					return caller(nameserver.ErrZoneUnknown)
				}
				return jsonstream.Each(answer, func() error {
					var w wireSet
					if err := answer.Decode(&w); err != nil {
						return err
					}
					return caller(yield(w.set()))
				})
			}
			return jsonstream.Skip(answer)
		})
	})
	return unknown(err)
}

// stopped is an error of the caller, not of the answer that is being read.
type stopped struct{ error }

func (s stopped) Unwrap() error { return s.error }

func caller(err error) error {
	if err != nil {
		return stopped{err}
	}
	return nil
}

// stream makes a request and lets read decode the answer.
func (d *Driver) stream(ctx context.Context, request endpoint.Request, read func(*json.Decoder) error) (err error) {
	response, err := d.api.Do(ctx, request)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	if err := d.api.Check(response, request.Doing); err != nil {
		return err
	}
	err = read(json.NewDecoder(io.LimitReader(response.Body, largestZone)))
	if own := (stopped{}); errors.As(err, &own) {
		return own.error
	}
	if err != nil {
		return d.api.Unreachable(request.Doing, fmt.Errorf("unusable answer: %w", err))
	}
	return nil
}

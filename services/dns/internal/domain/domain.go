// Package domain makes, renames, deletes, imports and exports domains.
package domain

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	dnsv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/dns/v1"

	"github.com/opsdeck/opsdeck/pkg/fault"

	"github.com/opsdeck/opsdeck/services/dns/internal/reach"
	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
	"github.com/opsdeck/opsdeck/services/dns/internal/server"
	"github.com/opsdeck/opsdeck/services/dns/internal/zone"
)

// What an SOA says besides names (RFC 1912, 2.2), in seconds. The serial is the server's.
const (
	refresh  = 3600
	retry    = 600
	expire   = 1209600
	negative = 300
)

// renamable is how many records a domain may have to be renamed: the whole of it travels with the change.
const renamable = 20000

// Defaults are what a new domain gets that brings none of its own.
type Defaults struct {
	TTL         int64 // seconds
	NameServers []string
}

// Service serves the DomainService.
type Service struct {
	dnsv1.UnimplementedDomainServiceServer

	changer  *zone.Changer
	drivers  *server.Drivers
	defaults Defaults
}

// NewService returns the DomainService.
func NewService(changer *zone.Changer, drivers *server.Drivers, defaults Defaults) *Service {
	return &Service{changer: changer, drivers: drivers, defaults: defaults}
}

// ListDomains implements the DomainService.
func (s *Service) ListDomains(ctx context.Context, r *dnsv1.ListDomainsRequest) (*dnsv1.ListDomainsResponse, error) {
	offset, limit, err := server.Pages.Offset(r.GetPage(), r.GetPageSize())
	if err != nil {
		return nil, err
	}
	if _, err := server.Find(ctx, s.changer.Pool, reach.Of(ctx), r.GetId()); err != nil {
		return nil, err
	}
	count, rows, err := list(ctx, s.changer.Pool, r.GetId(), r.GetName(), offset, limit)
	if err != nil {
		return nil, err
	}
	answer := &dnsv1.ListDomainsResponse{Count: count}
	for _, row := range rows {
		answer.Results = append(answer.Results, row.toProto(ctx))
	}
	return answer, nil
}

// CreateDomain implements the DomainService.
func (s *Service) CreateDomain(ctx context.Context, r *dnsv1.CreateDomainRequest) (*dnsv1.CreateDomainResponse, error) {
	name, err := parseZone(r.GetName())
	if err != nil {
		return nil, err
	}
	on, err := server.Find(ctx, s.changer.Pool, reach.Of(ctx), r.GetId())
	if err != nil {
		return nil, err
	}
	d := zone.Domain{ServerID: on.ID, Tenant: on.Tenant, Name: name, DefaultTTL: s.defaults.TTL}
	if r.DefaultTtl != nil {
		d.DefaultTTL = r.GetDefaultTtl()
	}
	entries, err := s.authority(d, r.GetHostmaster(), r.GetNameServers(), on.NameServers)
	if err != nil {
		return nil, err
	}
	outcome, err := s.changer.Do(ctx, reach.Of(ctx), zone.Caller(ctx), func(ctx context.Context, tx *zone.Tx) (err error) {
		d, err = tx.Create(ctx, d, zone.Create, entries)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &dnsv1.CreateDomainResponse{Domain: row{Domain: d, Pending: outcome.Pending}.toProto(ctx)}, nil
}

// authority returns the SOA and NS records of a new domain.
func (s *Service) authority(d zone.Domain, hostmaster string, wanted, ofServer []string) ([]rrset.Entry, error) {
	names, err := server.NameServers(wanted)
	if err != nil {
		return nil, err
	}
	for _, other := range [][]string{ofServer, s.defaults.NameServers} {
		if len(names) == 0 {
			names = other
		}
	}
	soa := fmt.Sprintf("%s %s 1 %d %d %d %d", names[0], cmp.Or(hostmaster, "hostmaster."+d.Name), refresh, retry, expire, negative)
	drafts := []rrset.Draft{{Name: d.Name, Type: "SOA", Value: soa}}
	for _, name := range names {
		drafts = append(drafts, rrset.Draft{Name: d.Name, Type: "NS", Value: name})
	}
	entries, err := zone.Parse(d, drafts)
	if err != nil {
		return nil, err
	}
	sets, problems := rrset.Collect(entries)
	return entries, zone.Invalid(append(problems, rrset.CheckZone(d.Name, sets)...))
}

// UpdateDomain implements the DomainService.
func (s *Service) UpdateDomain(ctx context.Context, r *dnsv1.UpdateDomainRequest) (*dnsv1.UpdateDomainResponse, error) {
	var name string
	if r.Name != nil {
		var err error
		if name, err = parseZone(r.GetName()); err != nil {
			return nil, err
		}
	}
	var d zone.Domain
	outcome, err := s.changer.Do(ctx, reach.Of(ctx), zone.Caller(ctx), func(ctx context.Context, tx *zone.Tx) (err error) {
		if d, err = tx.Lock(ctx, zone.RefOf(r)); err != nil || name == "" || name == d.Name {
			return err
		}
		d, err = tx.Rename(ctx, d, name, renamable)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &dnsv1.UpdateDomainResponse{Domain: row{Domain: d, Pending: outcome.Pending}.toProto(ctx)}, nil
}

// DeleteDomain implements the DomainService.
func (s *Service) DeleteDomain(ctx context.Context, r *dnsv1.DeleteDomainRequest) (*dnsv1.DeleteDomainResponse, error) {
	outcome, err := s.changer.Do(ctx, reach.Of(ctx), zone.Caller(ctx), func(ctx context.Context, tx *zone.Tx) error {
		d, err := tx.Lock(ctx, zone.RefOf(r))
		if err != nil {
			return err
		}
		return tx.Delete(ctx, d)
	})
	if err != nil {
		return nil, err
	}
	return &dnsv1.DeleteDomainResponse{Message: "success", Pending: outcome.Pending}, nil
}

// parseZone returns the canonical name of a zone. Errors: invalid name.
func parseZone(name string) (string, error) {
	canonical, err := rrset.ParseZone(name)
	var problem *rrset.Problem
	if errors.As(err, &problem) {
		return "", fault.Invalid("name", "%s", problem.English).Chinese("%s", problem.Chinese)
	}
	return canonical, err
}

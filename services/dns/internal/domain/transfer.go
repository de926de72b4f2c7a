package domain

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"time"

	dnsv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/dns/v1"

	"github.com/opsdeck/opsdeck/pkg/fault"

	"github.com/opsdeck/opsdeck/services/dns/internal/nameserver"
	"github.com/opsdeck/opsdeck/services/dns/internal/reach"
	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
	"github.com/opsdeck/opsdeck/services/dns/internal/server"
	"github.com/opsdeck/opsdeck/services/dns/internal/zone"
	"github.com/opsdeck/opsdeck/services/dns/internal/zonefile"
)

const (
	importable    = 200000 // records of a zone that is taken over
	exportable    = 100000 // records of a zone that is written as text
	importTimeout = 20 * time.Second
	shownProblems = 100
)

// ImportDomain implements the DomainService.
func (s *Service) ImportDomain(ctx context.Context, r *dnsv1.ImportDomainRequest) (*dnsv1.ImportDomainResponse, error) {
	name, err := parseZone(r.GetName())
	if err != nil {
		return nil, err
	}
	on, err := server.Find(ctx, s.changer.Pool, reach.Of(ctx), r.GetId())
	if err != nil {
		return nil, err
	}
	driver, err := s.drivers.Driver(ctx, on.ID)
	if err != nil {
		return nil, err
	}
	sets, skipped, err := read(ctx, driver, name)
	if err != nil {
		return nil, err
	}
	answer := &dnsv1.ImportDomainResponse{SkippedTypes: skipped}
	if err := usable(name, sets); err != nil {
		return nil, err
	}
	for _, p := range rrset.CheckZone(name, sets) {
		if len(answer.Problems) < shownProblems {
			answer.Problems = append(answer.Problems, p.Error())
		}
	}
	var entries []rrset.Entry
	for i := range sets {
		entries = append(entries, sets[i].Entries()...)
	}
	answer.Records = int64(len(entries))
	if r.GetDryRun() {
		return answer, nil
	}
	d := zone.Domain{ServerID: on.ID, Tenant: on.Tenant, Name: name, DefaultTTL: s.defaults.TTL}
	if _, err := s.changer.Do(ctx, reach.Of(ctx), zone.Caller(ctx), func(ctx context.Context, tx *zone.Tx) (err error) {
		d, err = tx.Create(ctx, d, zone.Import, entries)
		return err
	}); err != nil {
		return nil, err
	}
	answer.Domain = row{Domain: d}.toProto(ctx)
	return answer, nil
}

// read returns what a server holds of a zone: the sets of types that are managed, and the types that are not.
func read(ctx context.Context, driver nameserver.Driver, name string) (sets []rrset.Set, skipped []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, importTimeout)
	defer cancel()
	records := 0
	err = driver.Transfer(ctx, name, func(set rrset.Set) error {
		if !set.Managed() {
			if !slices.Contains(skipped, set.Type) {
				skipped = append(skipped, set.Type)
			}
			return nil
		}
		if records += len(set.Records); records > importable {
			return fault.Precondition("DOMAIN_TOO_LARGE", "the zone has more than %d records", importable).Chinese("该域的记录超过 %d 条", importable)
		}
		sets = append(sets, set)
		return nil
	})
	slices.Sort(skipped)
	return sets, skipped, server.Fault(err)
}

// usable refuses a zone without SOA or NS: no change of it could keep the rules.
func usable(name string, sets []rrset.Set) error {
	for _, typ := range []string{"SOA", "NS"} {
		if !slices.ContainsFunc(sets, func(s rrset.Set) bool { return s.Name == name && s.Type == typ }) {
			return fault.Precondition("ZONE_BROKEN", "the zone %s has no %s at its own name: repair it on the server first", zone.Shown(name), typ).
				Chinese("域 %s 缺少 %s 记录，请先在服务器上修复", zone.Shown(name), typ)
		}
	}
	return nil
}

// ExportDomain implements the DomainService.
func (s *Service) ExportDomain(ctx context.Context, r *dnsv1.ExportDomainRequest) (*dnsv1.ExportDomainResponse, error) {
	d, err := zone.Find(ctx, s.changer.Pool, reach.Of(ctx), zone.RefOf(r))
	if err != nil {
		return nil, err
	}
	rows, err := zone.AllRows(ctx, s.changer.Pool, d, exportable)
	if err != nil {
		return nil, err
	}
	sets, problems := rrset.Collect(zone.Entries(rows))
	if len(problems) > 0 {
		return nil, errors.Join(errors.New("stored records break rules"), problems)
	}
	var text strings.Builder
	if r.GetFormat() == "csv" {
		err = zonefile.WriteCSV(&text, each(sets))
	} else {
		err = zonefile.WriteMaster(&text, d.Name, each(sets))
	}
	if err != nil {
		return nil, err
	}
	format := r.GetFormat()
	if format == "" {
		format = "zone"
	}
	return &dnsv1.ExportDomainResponse{Format: format, Content: text.String()}, nil
}

func each(sets []rrset.Set) iter.Seq2[rrset.Set, error] {
	return func(yield func(rrset.Set, error) bool) {
		for _, s := range sets {
			if !yield(s, nil) {
				return
			}
		}
	}
}

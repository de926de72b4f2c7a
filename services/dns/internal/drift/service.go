package drift

import (
	"context"
	"errors"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	dnsv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/dns/v1"

	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/dns/internal/audit"
	"github.com/opsdeck/opsdeck/services/dns/internal/plan"
	"github.com/opsdeck/opsdeck/services/dns/internal/reach"
	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
	"github.com/opsdeck/opsdeck/services/dns/internal/server"
	"github.com/opsdeck/opsdeck/services/dns/internal/zone"
)

// restorable is how many records a domain may have whose zone is made again: the whole of it travels with the change.
const restorable = 20000

// Service serves the DriftService.
type Service struct {
	dnsv1.UnimplementedDriftServiceServer

	changer *zone.Changer
	checker *Checker
}

// NewService returns the DriftService.
func NewService(changer *zone.Changer, checker *Checker) *Service {
	return &Service{changer: changer, checker: checker}
}

// GetDrift implements the DriftService.
func (s *Service) GetDrift(ctx context.Context, r *dnsv1.GetDriftRequest) (*dnsv1.GetDriftResponse, error) {
	d, err := zone.Find(ctx, s.changer.Pool, reach.Of(ctx), zone.RefOf(r))
	if err != nil {
		return nil, err
	}
	if r.GetRefresh() {
		if err := s.check(ctx, d); err != nil {
			return nil, err
		}
	}
	var checked *time.Time
	answer := &dnsv1.Drift{}
	err = s.changer.Pool.QueryRow(ctx, `SELECT checked_at, zone_missing FROM dns.domains WHERE id = $1`, d.ID).Scan(&checked, &answer.ZoneMissing)
	if err != nil {
		return nil, pg.Fault(err, "DOMAIN_NOT_FOUND", "there is no domain %d", d.ID)
	}
	if checked != nil {
		answer.CheckedTime = timestamppb.New(*checked)
	}
	drifted, err := zone.ListDrift(ctx, s.changer.Pool, d.ID)
	if err != nil {
		return nil, err
	}
	for _, found := range drifted[:min(len(drifted), maxDrift)] {
		answer.Sets = append(answer.Sets, &dnsv1.DriftedSet{
			Name: zone.Shown(found.Key.Name), Type: found.Key.Type, Wanted: plan.Image(found.Wanted), Found: plan.Image(found.Found),
			SeenTime: timestamppb.New(found.Seen),
		})
	}
	return &dnsv1.GetDriftResponse{Drift: answer}, nil
}

// check compares now, for a caller who waits.
func (s *Service) check(ctx context.Context, d zone.Domain) error {
	err := s.checker.Check(ctx, d, true)
	if errors.Is(err, errPending) {
		return pending(d)
	}
	return server.Fault(err)
}

func pending(d zone.Domain) error {
	return fault.Precondition("CHANGES_PENDING", "changes of %s wait for its server: what it holds cannot be compared now", zone.Shown(d.Name)).
		Chinese("域 %s 有变更尚未同步到服务器，暂时无法比较", zone.Shown(d.Name))
}

// look compares a domain that the caller may change with its server now, and returns what differs, or that the whole zone is gone. Errors:
// DOMAIN_NOT_FOUND, FORBIDDEN, CHANGES_PENDING, NAME_SERVER_UNREACHABLE, NAME_SERVER_REFUSED.
func (s *Service) look(ctx context.Context, ref zone.Ref) (drifted []zone.Drifted, gone bool, err error) {
	d, err := zone.Find(ctx, s.changer.Pool, reach.Of(ctx), ref)
	if err != nil {
		return nil, false, err
	}
	if err := reach.Edit(ctx, d.CreatorTenant, d.Creator, zone.Shown(d.Name)); err != nil {
		return nil, false, err
	}
	if err := s.check(ctx, d); err != nil {
		return nil, false, err
	}
	if err := s.changer.Pool.QueryRow(ctx, `SELECT zone_missing FROM dns.domains WHERE id = $1`, d.ID).Scan(&gone); err != nil {
		return nil, false, pg.Fault(err, "DOMAIN_NOT_FOUND", "there is no domain %d", d.ID)
	}
	drifted, err = zone.ListDrift(ctx, s.changer.Pool, d.ID)
	return drifted, gone, err
}

// free refuses a domain whose changes wait for its server.
func free(ctx context.Context, tx *zone.Tx, d zone.Domain) error {
	waiting, err := zone.HasPending(ctx, tx, d.ID)
	if err != nil || !waiting {
		return err
	}
	return pending(d)
}

// AdoptDrift implements the DriftService.
func (s *Service) AdoptDrift(ctx context.Context, r *dnsv1.AdoptDriftRequest) (*dnsv1.AdoptDriftResponse, error) {
	drifted, gone, err := s.look(ctx, zone.RefOf(r))
	if err == nil && gone {
		err = fault.Precondition("ZONE_UNKNOWN", "the server has no such zone any more: delete the domain, or have the zone made again (correct)").
			Chinese("服务器上已没有该域：请删除该域，或通过 correct 重新创建")
	}
	if err != nil || len(drifted) == 0 {
		return &dnsv1.AdoptDriftResponse{}, err
	}
	outcome, err := s.changer.Do(ctx, reach.Of(ctx), zone.Caller(ctx), func(ctx context.Context, tx *zone.Tx) error {
		e, err := tx.Edit(ctx, zone.RefOf(r), zone.Adopt)
		if err != nil {
			return err
		}
		if err := free(ctx, tx, e.Domain); err != nil {
			return err
		}
		driver, err := s.checker.Drivers.Driver(ctx, e.Domain.ServerID)
		if err != nil {
			return err
		}
		for _, found := range drifted {
			if err := e.Load(ctx, found.Key.Name); err != nil {
				return err
			}
			e.SetTo(found.Key, adopted(found, driver.KeepsDisabled()))
		}
		if _, err = e.Finish(ctx); err != nil {
			return err
		}
		return zone.ReplaceDrift(ctx, tx.Tx, e.Domain.ID, s.changer.Now(), nil)
	})
	if err != nil {
		return nil, err
	}
	return &dnsv1.AdoptDriftResponse{ChangeId: outcome.Change, Sets: int64(len(drifted))}, nil
}

// adopted is what is wanted from now on: what the server holds and, where it does not keep them, the disabled records besides.
func adopted(d zone.Drifted, keepsDisabled bool) *rrset.Set {
	if keepsDisabled || d.Wanted == nil {
		return d.Found
	}
	both := rrset.Set{Key: d.Key, TTL: d.Wanted.TTL}
	if d.Found != nil {
		both.TTL, both.Records = d.Found.TTL, slices.Clone(d.Found.Records)
	}
	for _, r := range d.Wanted.Records {
		if r.Disabled && !slices.ContainsFunc(both.Records, func(live rrset.Record) bool { return live.Value == r.Value }) {
			both.Records = append(both.Records, r)
		}
	}
	if len(both.Records) == 0 {
		return nil
	}
	return &both
}

// CorrectDrift implements the DriftService.
func (s *Service) CorrectDrift(ctx context.Context, r *dnsv1.CorrectDriftRequest) (*dnsv1.CorrectDriftResponse, error) {
	drifted, gone, err := s.look(ctx, zone.RefOf(r))
	if err != nil || !gone && len(drifted) == 0 {
		return &dnsv1.CorrectDriftResponse{}, err
	}
	sets := len(drifted)
	outcome, err := s.changer.Do(ctx, reach.Of(ctx), zone.Caller(ctx), func(ctx context.Context, tx *zone.Tx) error {
		d, err := tx.Lock(ctx, zone.RefOf(r))
		if err != nil {
			return err
		}
		if err := free(ctx, tx, d); err != nil {
			return err
		}
		if gone {
			sets, err = tx.Restore(ctx, d, restorable)
			return err
		}
		return correct(ctx, tx, d, drifted)
	})
	if err != nil {
		return nil, err
	}
	return &dnsv1.CorrectDriftResponse{ChangeId: outcome.Change, Sets: int64(sets), Pending: outcome.Pending}, nil
}

// correct writes down that the server is to be given what is wanted in the place of what it holds.
func correct(ctx context.Context, tx *zone.Tx, d zone.Domain, drifted []zone.Drifted) error {
	c := &zone.Change{Domain: d.ID, Server: d.ServerID, Tenant: d.Tenant, Kind: zone.Correct, State: zone.Pending, Zone: d.Name, Reshapes: true}
	var operations []audit.Operation
	for _, found := range drifted {
		c.Sets = append(c.Sets, rrset.Change{Before: found.Found, After: found.Wanted})
		operations = append(operations, audit.Operation{Target: audit.Record, Type: audit.Updated, Detail: "corrected the drift of " + found.Key.String()})
	}
	if err := tx.Log(ctx, c); err != nil {
		return err
	}
	if err := tx.Audit(ctx, d.Tenant, operations...); err != nil {
		return err
	}
	return tx.TellSets(ctx, d, c)
}

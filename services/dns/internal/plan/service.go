package plan

import (
	"context"

	dnsv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/dns/v1"

	"github.com/opsdeck/opsdeck/pkg/fault"

	"github.com/opsdeck/opsdeck/services/dns/internal/reach"
	"github.com/opsdeck/opsdeck/services/dns/internal/record"
	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
	"github.com/opsdeck/opsdeck/services/dns/internal/zone"
)

// shown is how many sets a plan shows in each of its lists.
const shown = 10000

// Service serves the ChangeService.
type Service struct {
	dnsv1.UnimplementedChangeServiceServer

	changer   *zone.Changer
	threshold float64 // percent
}

// NewService returns the ChangeService with a threshold in percent.
func NewService(changer *zone.Changer, threshold float64) *Service {
	return &Service{changer: changer, threshold: threshold}
}

// request is what plan and apply have in common.
type request interface {
	zone.Located

	GetRecords() []*dnsv1.NewRecord
	GetDelete() []*dnsv1.SetRef
	GetReplace() bool
}

// prepare makes an edit what a request wants. Errors: RECORD_INVALID, DOMAIN_TOO_LARGE.
func prepare(ctx context.Context, e *zone.Edit, r request) error {
	drafts := record.Drafts(r.GetRecords())
	entries, err := zone.Parse(e.Domain, drafts)
	if err != nil {
		return err
	}
	remove, err := keys(e.Domain, r.GetDelete())
	if err != nil {
		return err
	}
	names := desired{delete: remove, replace: r.GetReplace()}
	for _, entry := range entries {
		names.sets = append(names.sets, rrset.Set{Key: entry.Key})
	}
	if err := names.load(ctx, e); err != nil {
		return err
	}
	for i := range entries {
		if there := e.Set(entries[i].Key); drafts[i].TTL == nil && there != nil {
			entries[i].TTL = there.TTL
		}
	}
	d, err := want(entries, remove, r.GetReplace())
	if err != nil {
		return err
	}
	d.apply(e)
	return nil
}

// PlanChanges implements the ChangeService.
func (s *Service) PlanChanges(ctx context.Context, r *dnsv1.PlanChangesRequest) (*dnsv1.PlanChangesResponse, error) {
	var p plan
	_, err := s.changer.Do(ctx, reach.Of(ctx), zone.Caller(ctx), func(ctx context.Context, tx *zone.Tx) error {
		e, err := tx.View(ctx, zone.RefOf(r))
		if err != nil {
			return err
		}
		if err := prepare(ctx, e, r); err != nil {
			return err
		}
		if p, err = planned(ctx, tx, e, s.threshold); err != nil {
			return err
		}
		return e.Check(ctx)
	})
	if err != nil {
		return nil, err
	}
	return &dnsv1.PlanChangesResponse{Plan: p.toProto(shown)}, nil
}

// ApplyChanges implements the ChangeService.
func (s *Service) ApplyChanges(ctx context.Context, r *dnsv1.ApplyChangesRequest) (*dnsv1.ApplyChangesResponse, error) {
	_, applied, err := s.apply(ctx, zone.RefOf(r), func(ctx context.Context, e *zone.Edit) error { return prepare(ctx, e, r) },
		func(p plan) error {
			if p.fingerprint != r.GetFingerprint() {
				return fault.Precondition("PLAN_OUTDATED", "the domain has changed since the plan was made, or this is not what was planned: plan again").
					Chinese("制定计划后域已变化，或变更与计划不符：请重新制定计划")
			}
			return p.allow(r.GetOverride(), s.threshold)
		})
	return applied, err
}

// apply makes an edit and, when allowed, writes and pushes it.
func (s *Service) apply(ctx context.Context, ref zone.Ref, prepare func(ctx context.Context, e *zone.Edit) error, allow func(p plan) error) (plan, *dnsv1.ApplyChangesResponse, error) {
	var p plan
	outcome, err := s.changer.Do(ctx, reach.Of(ctx), zone.Caller(ctx), func(ctx context.Context, tx *zone.Tx) error {
		e, err := tx.Edit(ctx, ref, zone.Records)
		if err != nil {
			return err
		}
		if err := prepare(ctx, e); err != nil {
			return err
		}
		if p, err = planned(ctx, tx, e, s.threshold); err != nil {
			return err
		}
		if err := allow(p); err != nil {
			return err
		}
		_, err = e.Finish(ctx)
		return err
	})
	if err != nil {
		return p, nil, err
	}
	return p, &dnsv1.ApplyChangesResponse{
		ChangeId: outcome.Change, Created: p.created, Updated: p.updated, Deleted: p.deleted, Pending: outcome.Pending,
	}, nil
}

// Package request makes records exist, or not exist, for other services, which know names and not domains.
package request

import (
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5"

	dnsv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/dns/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/dns/internal/reach"
	"github.com/opsdeck/opsdeck/services/dns/internal/record"
	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
	"github.com/opsdeck/opsdeck/services/dns/internal/zone"
)

// Service serves the RequestService.
type Service struct {
	dnsv1.UnimplementedRequestServiceServer

	changer *zone.Changer
}

// NewService returns the RequestService.
func NewService(changer *zone.Changer) *Service { return &Service{changer: changer} }

// EnsureRecords implements the RequestService.
func (s *Service) EnsureRecords(ctx context.Context, r *dnsv1.EnsureRecordsRequest) (*dnsv1.EnsureRecordsResponse, error) {
	finished, err := s.carryOut(ctx, r, ensure)
	return &dnsv1.EnsureRecordsResponse{Finished: finished}, err
}

// RemoveRecords implements the RequestService.
func (s *Service) RemoveRecords(ctx context.Context, r *dnsv1.RemoveRecordsRequest) (*dnsv1.RemoveRecordsResponse, error) {
	finished, err := s.carryOut(ctx, r, remove)
	return &dnsv1.RemoveRecordsResponse{Finished: finished}, err
}

// request is what both have in common.
type request interface {
	GetTenant() string
	GetOperator() string
	GetRequestKey() string
	GetRecords() []*dnsv1.NewRecord
}

// carryOut makes the changes of a request, once, and reports whether its servers serve them.
func (s *Service) carryOut(ctx context.Context, r request, each func(e *zone.Edit, entry rrset.Entry)) (bool, error) {
	service := authn.FromContext(ctx).Service
	by := zone.Actor{Tenant: r.GetTenant(), User: r.GetOperator(), Name: service + " for " + r.GetTenant() + ":" + r.GetOperator()}
	switch state, err := stateOf(ctx, s.changer.Pool, r); {
	case err != nil:
		return false, err
	case state == zone.Applied:
		return true, nil
	case state == zone.Pending:
		return false, nil
	}
	outcome, err := s.changer.Do(ctx, reach.Reach{Tenant: r.GetTenant()}, by, func(ctx context.Context, tx *zone.Tx) error {
		groups, err := s.group(ctx, tx, r)
		if err != nil {
			return err
		}
		made := []int64{}
		for _, g := range groups {
			change, err := g.apply(ctx, tx, each)
			if err != nil {
				return err
			}
			if change != 0 {
				made = append(made, change)
			}
		}
		return remember(ctx, tx, r, made)
	})
	return err == nil && !outcome.Pending, err
}

// group is what a request wants in one domain.
type group struct {
	domain zone.Domain
	drafts []rrset.Draft
}

// group finds the domain of each record, and puts the domains in the order in which everybody locks them.
func (s *Service) group(ctx context.Context, tx *zone.Tx, r request) ([]*group, error) {
	var groups []*group
	for _, draft := range record.Drafts(r.GetRecords()) {
		name, err := rrset.ParseName(draft.Name)
		var problem *rrset.Problem
		if errors.As(err, &problem) {
			return nil, zone.Invalid(rrset.Problems{problem})
		}
		if err != nil {
			return nil, err
		}
		d, err := zone.Owning(ctx, tx, r.GetTenant(), 0, name)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(groups, func(g *group) bool { return g.domain.ID == d.ID })
		if i < 0 {
			i = len(groups)
			groups = append(groups, &group{domain: d})
		}
		groups[i].drafts = append(groups[i].drafts, draft)
	}
	slices.SortFunc(groups, func(a, b *group) int { return int(a.domain.ID - b.domain.ID) })
	return groups, nil
}

// apply makes the changes in one domain, and returns the id of the change; 0 when there is nothing to change.
func (g *group) apply(ctx context.Context, tx *zone.Tx, each func(e *zone.Edit, entry rrset.Entry)) (int64, error) {
	e, err := tx.Edit(ctx, zone.Ref{Server: g.domain.ServerID, Domain: g.domain.ID}, zone.Records)
	if err != nil {
		return 0, err
	}
	entries, err := zone.Parse(e.Domain, g.drafts)
	if err != nil {
		return 0, err
	}
	for _, entry := range entries {
		if err := e.Load(ctx, entry.Name); err != nil {
			return 0, err
		}
		each(e, entry)
	}
	result, err := e.Finish(ctx)
	return result.Change, err
}

// ensure adds a record that is not there, and enables one that is disabled.
func ensure(e *zone.Edit, entry rrset.Entry) {
	there := e.At(entry.Key)
	for _, row := range there {
		if row.Value == entry.Value {
			e.Enable(row.ID, true)
			return
		}
		entry.TTL = row.Entry().TTL
	}
	e.Add(entry)
}

// remove removes a record that is there.
func remove(e *zone.Edit, entry rrset.Entry) {
	for _, row := range e.At(entry.Key) {
		if row.Value == entry.Value {
			e.Remove(row.ID)
		}
	}
}

// stateOf returns how far a request is that was carried out before: pending while one of its changes is, applied when all are, and nothing
// for a request that is to be carried out, because it never was or was undone. Changes too old to be known were applied.
func stateOf(ctx context.Context, db zone.Querier, r request) (state string, err error) {
	err = db.QueryRow(ctx, `
		SELECT CASE WHEN bool_or(c.state IN ('conflict', 'failed')) THEN '' WHEN bool_or(c.state = 'pending') THEN 'pending' ELSE 'applied' END
		FROM dns.requests q LEFT JOIN dns.changes c ON c.id = ANY (q.changes)
		WHERE q.tenant = $1 AND q.key = $2 GROUP BY q.tenant, q.key`, r.GetTenant(), r.GetRequestKey()).Scan(&state)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	return state, pg.Fault(err, "REQUEST", "look for request %s", r.GetRequestKey())
}

// remember notes which changes carry a request out.
func remember(ctx context.Context, tx *zone.Tx, r request, changes []int64) error {
	_, err := tx.Exec(ctx, `
		INSERT INTO dns.requests (tenant, key, changes) VALUES ($1, $2, $3)
		ON CONFLICT (tenant, key) DO UPDATE SET changes = excluded.changes`, r.GetTenant(), r.GetRequestKey(), changes)
	return pg.Fault(err, "REQUEST", "remember request %s", r.GetRequestKey())
}

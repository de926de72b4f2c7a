// Package record lists and changes the records of domains.
package record

import (
	"context"

	dnsv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/dns/v1"

	"github.com/opsdeck/opsdeck/services/dns/internal/reach"
	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
	"github.com/opsdeck/opsdeck/services/dns/internal/server"
	"github.com/opsdeck/opsdeck/services/dns/internal/zone"
)

// Service serves the RecordService.
type Service struct {
	dnsv1.UnimplementedRecordServiceServer

	changer *zone.Changer
}

// NewService returns the RecordService.
func NewService(changer *zone.Changer) *Service { return &Service{changer: changer} }

// edit changes the records of a domain and waits for its server.
func (s *Service) edit(ctx context.Context, r zone.Located, change func(ctx context.Context, e *zone.Edit) error) (zone.Outcome, error) {
	return s.changer.Do(ctx, reach.Of(ctx), zone.Caller(ctx), func(ctx context.Context, tx *zone.Tx) error {
		e, err := tx.Edit(ctx, zone.RefOf(r), zone.Records)
		if err != nil {
			return err
		}
		return change(ctx, e)
	})
}

// ListRecords implements the RecordService.
func (s *Service) ListRecords(ctx context.Context, r *dnsv1.ListRecordsRequest) (*dnsv1.ListRecordsResponse, error) {
	offset, limit, err := server.Pages.Offset(r.GetPage(), r.GetPageSize())
	if err != nil {
		return nil, err
	}
	d, err := zone.Find(ctx, s.changer.Pool, reach.Of(ctx), zone.RefOf(r))
	if err != nil {
		return nil, err
	}
	f := filter{domain: d, name: r.GetName(), value: r.GetValue(), typ: r.GetType(), offset: offset, limit: limit}
	rows, n, err := list(ctx, s.changer.Pool, f)
	if err != nil {
		return nil, err
	}
	answer := &dnsv1.ListRecordsResponse{Count: n}
	for _, row := range rows {
		answer.Results = append(answer.Results, row.toProto())
	}
	return answer, nil
}

// CreateRecord implements the RecordService.
func (s *Service) CreateRecord(ctx context.Context, r *dnsv1.CreateRecordRequest) (*dnsv1.CreateRecordResponse, error) {
	draft := rrset.Draft{Name: r.GetName(), Type: r.GetType(), Value: r.GetValue(), TTL: r.Ttl, Priority: r.Priority}
	var result zone.Result
	outcome, err := s.edit(ctx, r, func(ctx context.Context, e *zone.Edit) error {
		entries, err := add(ctx, e, []rrset.Draft{draft})
		if err != nil {
			return err
		}
		if r.GetPtr() {
			e.WantPTR(entries[0].Key, entries[0].Value, true)
		}
		result, err = e.Finish(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	answer := row{Row: result.Added[0], Followed: r.GetPtr()}.toProto()
	answer.Pending = outcome.Pending
	return &dnsv1.CreateRecordResponse{Record: answer}, nil
}

// CreateRecords implements the RecordService.
func (s *Service) CreateRecords(ctx context.Context, r *dnsv1.CreateRecordsRequest) (*dnsv1.CreateRecordsResponse, error) {
	drafts := Drafts(r.GetRecords())
	outcome, err := s.edit(ctx, r, func(ctx context.Context, e *zone.Edit) error {
		if _, err := add(ctx, e, drafts); err != nil {
			return err
		}
		_, err := e.Finish(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &dnsv1.CreateRecordsResponse{Count: int64(len(drafts)), ChangeId: outcome.Change, Pending: outcome.Pending}, nil
}

// Drafts returns new records as the rules take them.
func Drafts(records []*dnsv1.NewRecord) []rrset.Draft {
	drafts := make([]rrset.Draft, len(records))
	for i, r := range records {
		drafts[i] = rrset.Draft{Name: r.GetName(), Type: r.GetType(), Value: r.GetValue(), TTL: r.Ttl, Priority: r.Priority}
	}
	return drafts
}

// add adds records to an edit. Those without a TTL take that of the set they join.
func add(ctx context.Context, e *zone.Edit, drafts []rrset.Draft) ([]rrset.Entry, error) {
	entries, err := zone.Parse(e.Domain, drafts)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, entry := range entries {
		names[i] = entry.Name
	}
	if err := e.Load(ctx, names...); err != nil {
		return nil, err
	}
	for i := range entries {
		if there := e.At(entries[i].Key); drafts[i].TTL == nil && len(there) > 0 { //nolint:gosec // there are as many entries as drafts
			entries[i].TTL = there[0].Entry().TTL
		}
		e.Add(entries[i])
	}
	return entries, nil
}

// DeleteRecord implements the RecordService.
func (s *Service) DeleteRecord(ctx context.Context, r *dnsv1.DeleteRecordRequest) (*dnsv1.DeleteRecordResponse, error) {
	outcome, err := s.edit(ctx, r, func(ctx context.Context, e *zone.Edit) error {
		if err := e.LoadIDs(ctx, r.GetRecordId()); err != nil {
			return err
		}
		e.Remove(r.GetRecordId())
		_, err := e.Finish(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &dnsv1.DeleteRecordResponse{Message: "success", Pending: outcome.Pending}, nil
}

// DisableRecords implements the RecordService.
func (s *Service) DisableRecords(ctx context.Context, r *dnsv1.DisableRecordsRequest) (*dnsv1.DisableRecordsResponse, error) {
	outcome, err := s.edit(ctx, r, enable(r.GetRecords(), false))
	if err != nil {
		return nil, err
	}
	return &dnsv1.DisableRecordsResponse{Message: "success", Pending: outcome.Pending}, nil
}

// EnableRecords implements the RecordService.
func (s *Service) EnableRecords(ctx context.Context, r *dnsv1.EnableRecordsRequest) (*dnsv1.EnableRecordsResponse, error) {
	outcome, err := s.edit(ctx, r, enable(r.GetRecords(), true))
	if err != nil {
		return nil, err
	}
	return &dnsv1.EnableRecordsResponse{Message: "success", Pending: outcome.Pending}, nil
}

func enable(records []*dnsv1.RecordRef, on bool) func(ctx context.Context, e *zone.Edit) error {
	return func(ctx context.Context, e *zone.Edit) error {
		ids := make([]int64, len(records))
		for i, record := range records {
			ids[i] = record.GetId()
		}
		if err := e.LoadIDs(ctx, ids...); err != nil {
			return err
		}
		for _, id := range ids {
			e.Enable(id, on)
		}
		_, err := e.Finish(ctx)
		return err
	}
}

package record

import (
	"context"
	"strings"

	dnsv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/dns/v1"

	"github.com/opsdeck/opsdeck/pkg/fault"

	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
	"github.com/opsdeck/opsdeck/services/dns/internal/zone"
)

// UpdateRecord implements the RecordService.
func (s *Service) UpdateRecord(ctx context.Context, r *dnsv1.UpdateRecordRequest) (*dnsv1.UpdateRecordResponse, error) {
	var now zone.Row
	outcome, err := s.edit(ctx, r, func(ctx context.Context, e *zone.Edit) error {
		was, err := find(ctx, e, r)
		if err != nil {
			return err
		}
		entry, err := updated(ctx, e, was, r)
		if err != nil {
			return err
		}
		e.Replace(was.ID, entry)
		if r.Ptr != nil {
			e.WantPTR(entry.Key, entry.Value, r.GetPtr())
		}
		if now, err = e.Row(was.ID); err != nil {
			return err
		}
		_, err = e.Finish(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	follows, err := followed(ctx, s.changer.Pool, now.ID)
	if err != nil {
		return nil, err
	}
	answer := row{Row: now, Followed: follows}.toProto()
	answer.Pending = outcome.Pending
	return &dnsv1.UpdateRecordResponse{Record: answer}, nil
}

// find loads the record that a request means: by its id or, as the documents do it, as the only one of name and type. Errors:
// RECORD_NOT_FOUND, RECORD_AMBIGUOUS, RECORD_INVALID.
func find(ctx context.Context, e *zone.Edit, r *dnsv1.UpdateRecordRequest) (zone.Row, error) {
	if id := r.GetRecordId(); id != 0 {
		if err := e.LoadIDs(ctx, id); err != nil {
			return zone.Row{}, err
		}
		return e.Row(id)
	}
	if r.Name == nil || r.Type == nil {
		return zone.Row{}, ambiguous("name and type must name the record when there is no id", "没有 id 时必须给出 name 和 type")
	}
	key, err := zone.ParseKey(e.Domain, r.GetName(), r.GetType())
	if err != nil {
		return zone.Row{}, err
	}
	if err := e.Load(ctx, key.Name); err != nil {
		return zone.Row{}, err
	}
	rows := e.At(key)
	switch len(rows) {
	case 1:
		return rows[0], nil
	case 0:
		return zone.Row{}, ambiguous("there is no record "+zone.Shown(key.Name)+" of type "+key.Type, "没有类型为 "+key.Type+" 的记录 "+zone.Shown(key.Name))
	}
	return zone.Row{}, ambiguous("several records are named "+zone.Shown(key.Name)+" and of type "+key.Type+": say which by its id",
		"有多条类型为 "+key.Type+" 的记录 "+zone.Shown(key.Name)+"，请用 id 指明")
}

func ambiguous(english, chinese string) error {
	f := fault.Invalid("id", "%s", english).Chinese("%s", chinese)
	f.Reason = "RECORD_AMBIGUOUS"
	return f
}

// updated returns what a record becomes; the set that it joins is loaded.
func updated(ctx context.Context, e *zone.Edit, was zone.Row, r *dnsv1.UpdateRecordRequest) (rrset.Entry, error) {
	draft := rrset.Draft{Name: was.Name, Type: was.Type, Value: was.Value, TTL: r.Ttl, Priority: r.Priority, Disabled: was.Disabled}
	if r.Name != nil {
		draft.Name = r.GetName()
	}
	if r.Type != nil {
		draft.Type = r.GetType()
	}
	switch {
	case r.Value != nil:
		draft.Value = r.GetValue()
	case r.Priority != nil && (was.Type == "MX" || was.Type == "SRV"):
		_, draft.Value, _ = strings.Cut(was.Value, " ") // only the priority changes
	}
	entries, err := zone.Parse(e.Domain, []rrset.Draft{draft})
	if err != nil {
		return rrset.Entry{}, err
	}
	entry := entries[0]
	if err := e.Load(ctx, entry.Name); err != nil {
		return entry, err
	}
	if r.Ttl == nil {
		entry.TTL = was.Entry().TTL
		if there := e.At(entry.Key); len(there) > 0 {
			entry.TTL = there[0].Entry().TTL
		}
	}
	return entry, nil
}

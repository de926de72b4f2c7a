package plan

import (
	"context"
	"errors"
	"fmt"
	"strings"

	dnsv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/dns/v1"

	"github.com/opsdeck/opsdeck/pkg/fault"

	"github.com/opsdeck/opsdeck/services/dns/internal/reach"
	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
	"github.com/opsdeck/opsdeck/services/dns/internal/zone"
	"github.com/opsdeck/opsdeck/services/dns/internal/zonefile"
)

const (
	shownImport   = 1000 // sets in each list of the plan of an import
	shownProblems = 20   // problems of a file that an answer names
)

// ImportRecords implements the ChangeService.
func (s *Service) ImportRecords(ctx context.Context, r *dnsv1.ImportRecordsRequest) (*dnsv1.ImportRecordsResponse, error) {
	prepare := func(ctx context.Context, e *zone.Edit) error {
		entries, err := read(e.Domain, r.GetSource(), r.GetContent())
		if err != nil {
			return err
		}
		d, err := want(entries, nil, r.GetReplace())
		if err != nil {
			return err
		}
		if err := d.load(ctx, e); err != nil {
			return err
		}
		d.apply(e)
		return nil
	}
	if r.GetDryRun() {
		p, err := s.try(ctx, zone.RefOf(r), prepare)
		if err != nil {
			return nil, err
		}
		return &dnsv1.ImportRecordsResponse{Plan: p.toProto(shownImport)}, nil
	}
	p, applied, err := s.apply(ctx, zone.RefOf(r), prepare, func(p plan) error { return p.allow(r.GetOverride(), s.threshold) })
	if err != nil {
		return nil, err
	}
	return &dnsv1.ImportRecordsResponse{Plan: p.toProto(shownImport), Applied: applied}, nil
}

// try plans a change of a caller who may make it, and writes nothing.
func (s *Service) try(ctx context.Context, ref zone.Ref, prepare func(ctx context.Context, e *zone.Edit) error) (p plan, err error) {
	_, err = s.changer.Do(ctx, reach.Of(ctx), zone.Caller(ctx), func(ctx context.Context, tx *zone.Tx) error {
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
		return e.Check(ctx)
	})
	return p, err
}

// read reads a file. Errors: FILE_INVALID, which names lines.
func read(d zone.Domain, source, content string) ([]rrset.Entry, error) {
	ttl := uint32(d.DefaultTTL)
	var entries []rrset.Entry
	var err error
	if source == "csv" {
		entries, err = zonefile.ReadCSV(d.Name, ttl, strings.NewReader(content))
	} else {
		entries, err = zonefile.ReadMaster(d.Name, ttl, strings.NewReader(content))
	}
	var problems zonefile.Problems
	if !errors.As(err, &problems) {
		return entries, err
	}
	wrong := make([]fault.Field, 0, min(len(problems), shownProblems))
	for _, p := range problems[:min(len(problems), shownProblems)] {
		wrong = append(wrong, fault.Field{Name: "content", Problem: p.Error(), Chinese: p.Localized()})
	}
	if more := len(problems) - len(wrong); more > 0 {
		wrong = append(wrong, fault.Field{Name: "content", Problem: fmt.Sprintf("and %d more problems", more), Chinese: fmt.Sprintf("以及另外 %d 个问题", more)})
	}
	f := fault.InvalidFields(wrong...)
	f.Reason = "FILE_INVALID"
	return nil, f
}

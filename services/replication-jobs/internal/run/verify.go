package run

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/verify"
)

// orderOf is what an assignment wants verified, and how far that has come.
func orderOf(o *replicationv1.VerifyOrder) (verify.Order, verify.Progress) {
	at := o.GetProgress().GetVerification()
	from := verify.Progress{
		State: verify.State(at.GetState()), Pass: at.GetPass(), Table: o.GetProgress().GetTable(), Key: o.GetProgress().GetKey(),
		TablesDone: at.GetTablesDone(), TablesTotal: at.GetTablesTotal(), Chunks: at.GetChunks(), Rows: at.GetRowsCompared(),
		Found: at.GetDifferencesFound(), Repaired: at.GetDifferencesRepaired(), Error: at.GetError(),
	}
	if start := at.GetStartTime(); start != nil {
		from.Started = start.AsTime()
	}
	return verify.Order{
		Number: o.GetNumber(), Repair: o.GetRepair(), Continuous: o.GetContinuous(), RowsPerSecond: int(o.GetRowsPerSecond()),
		MaxLag: time.Duration(o.GetMaxLag()) * time.Second,
	}, from
}

// verifying reports how far the verification has come; nil without an order that was begun.
func (r *run) verifying() *replicationv1.VerifyProgress {
	order, at, found := r.desk.Report()
	if order.Number == 0 || at.State == "" {
		return nil
	}
	out := &replicationv1.VerifyProgress{
		Number: order.Number, Table: at.Table, Key: at.Key,
		Verification: &replicationv1.Verification{
			State: string(at.State), Pass: at.Pass, TablesDone: at.TablesDone, TablesTotal: at.TablesTotal, Chunks: at.Chunks, RowsCompared: at.Rows,
			DifferencesFound: at.Found, DifferencesRepaired: at.Repaired, Error: limited(at.Error),
		},
	}
	if !at.Started.IsZero() {
		out.Verification.StartTime = timestamppb.New(at.Started)
	}
	for _, d := range found {
		out.Differences = append(out.Differences, &replicationv1.Difference{
			Pass: d.Pass, Number: d.Number, Table: d.Table, Key: d.Key, Kind: d.Kind, Columns: d.Columns, Note: limited(d.Note), Repaired: d.Repaired,
		})
	}
	return out
}

// verified forgets the differences that a report has brought home.
func (r *run) verified(sent *replicationv1.VerifyProgress) {
	if all := sent.GetDifferences(); len(all) > 0 {
		last := all[len(all)-1]
		r.desk.Stored(sent.GetNumber(), last.GetPass(), last.GetNumber())
	}
}

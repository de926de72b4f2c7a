package run

import (
	"fmt"
	"slices"
	"strings"
	"time"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/engine"
)

// maxText is the longest text of a report, in bytes. The manager refuses reports with longer ones.
const maxText = 8000

// limited cuts a text to what a report may carry.
func limited(text string) string {
	if len(text) > maxText {
		text = text[:maxText] + " ..."
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

// report tells how the run does.
func (r *run) report(traffic *replicationv1.MessageStatus) *replicationv1.RunReport {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := figures{Progress: r.progress, retrying: r.state == replicationv1.RunState_RUN_STATE_RETRYING, traffic: traffic, now: time.Now()}
	return &replicationv1.RunReport{
		JobId: r.id, Epoch: r.epoch, State: r.state, Error: r.failure, Events: slices.Clone(r.events),
		Source: f.source(), Target: f.target(), Stage: r.progress.Stage, CopiedPercent: r.progress.Percent,
		StoppedAt: r.stoppedAt, EndGtidSet: r.progress.End.GTIDSet, Verify: r.verifying(),
	}
}

// stored forgets the events that a report has brought home.
func (r *run) stored(sent *replicationv1.RunReport) {
	r.verified(sent.GetVerify())
	events := sent.GetEvents()
	if len(events) == 0 {
		return
	}
	last := events[len(events)-1].GetSequence()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = slices.DeleteFunc(r.events, func(e *replicationv1.RunEvent) bool { return e.GetSequence() <= last })
}

// figures turn progress into what people see of the two tasks.
type figures struct {
	engine.Progress

	retrying bool
	traffic  *replicationv1.MessageStatus
	now      time.Time
}

func (f figures) source() *replicationv1.TaskStatus {
	s := f.common()
	if c := s.GetCurrentCoordinates(); c != nil {
		c.File, c.Position = limited(f.Source.File), int64(f.Source.Offset)
	}
	if r := f.Relay; r != nil {
		s.Relay = &replicationv1.RelayLog{Bytes: r.Bytes, MaxBytes: r.MaxBytes, Behind: int64(r.Behind / time.Second), Waits: limited(r.Waits)}
	}
	s.BufferStatus.ExtractorTxQueueSize = f.QueueTransactions
	s.Stage = f.text("Sending data", "Sending binlog event to slave", "Master has sent all binlog to slave; waiting for more updates")
	if f.SourceAway && !f.retrying {
		s.Stage = "Reconnecting after a failed master event read"
	}
	return s
}

func (f figures) target() *replicationv1.TaskStatus {
	s := f.common()
	if c := s.GetCurrentCoordinates(); c != nil {
		c.File, c.Position = limited(f.Executed.File), int64(f.Executed.Offset)
	}
	s.BufferStatus.ApplierTxQueueSize = f.QueueTransactions
	s.Stage = f.text("Copying rows", "Reading event from the relay log", "Slave has read all relay log; waiting for more updates")
	return s
}

// common is what both tasks say.
func (f figures) common() *replicationv1.TaskStatus {
	return &replicationv1.TaskStatus{
		CurrentCoordinates: f.coordinates(),
		DelayCount:         &replicationv1.DelayCount{Num: f.waiting(), Time: int64(f.Lag / time.Second)},
		ProgressPct:        fmt.Sprintf("%.1f", f.Percent),
		ExecMasterRowCount: f.CopiedRows + f.ExecRows, ExecMasterTxCount: f.ExecTx,
		ReadMasterRowCount: f.CopiedRows + f.ReadRows, ReadMasterTxCount: f.ReadTx,
		Eta:               f.ETA.Round(time.Second).String(),
		Backlog:           fmt.Sprintf("%d/%d", f.QueueTransactions, f.QueueCapacity),
		ThroughputStatus:  &replicationv1.Throughput{Num: int64(f.RowsPerSecond), Time: 1},
		NatsMessageStatus: f.traffic,
		BufferStatus:      &replicationv1.BufferStatus{},
		Timestamp:         f.now.UnixNano(),
	}
}

// coordinates are nil until a position is known. Names of files are the server's own text: one that is no UTF-8 must not keep the
// whole report from being sent.
func (f figures) coordinates() *replicationv1.Coordinates {
	read := f.Source
	if f.Relay != nil {
		read = f.Relay.End
	}
	if read.IsZero() && f.Executed.IsZero() {
		return nil
	}
	return &replicationv1.Coordinates{
		GtidSet: f.Executed.GTIDSet, RelayMasterLogFile: limited(read.File), ReadMasterLogPos: int64(read.Offset), RetrievedGtidSet: read.GTIDSet,
	}
}

// waiting is how many transactions were read and not applied. Without a lag the counters of the two ends were just taken at different moments.
func (f figures) waiting() int64 {
	if f.Lag == 0 {
		return f.QueueTransactions
	}
	return max(f.ReadTx-f.ExecTx, f.QueueTransactions)
}

func (f figures) text(copying, busy, idle string) string {
	switch {
	case f.retrying:
		return "Failed; waiting to be started again"
	case f.Stage == "":
		return "Connecting to the instances"
	case f.Stage == string(engine.StepFull):
		return copying
	case f.waiting() > 0:
		return busy
	}
	return idle
}

package engine

import (
	"context"
	"sync"
	"time"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/apply"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/binlog"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/relay"
)

const (
	reportEvery = time.Second
	// rateWindow is the number of reports over which the rate is measured.
	rateWindow = 5
)

// report turns the counters of what is running into what the reporter hears.
type report struct {
	reporter Reporter

	mu      sync.Mutex
	copied  int64
	copier  copier
	stream  *binlog.Stream
	applier applier
	relay   *relay.Log
	away    bool // the source is
	queue   int
	tick    func(Progress)
	samples []sample
	level   time.Time // when all that was read had been applied, in this run; zero before
	end     mysql.Position
}

// copier copies rows.
type copier interface {
	// Rows returns how many are copied, and how many there are about.
	Rows() (copied, total int64)
}

// applier brings transactions to their target.
type applier interface {
	// Stats returns the counters.
	Stats() apply.Stats
}

// sample is the number of rows done in a stage at a moment.
type sample struct {
	at   time.Time
	rows int64
	tx   int64
}

func newReport(reporter Reporter) *report { return &report{reporter: reporter} }

func (r *report) event(kind, message string) { r.reporter.Event(kind, message) }

// start reports now and then every second until the returned function is called, which reports once more.
func (r *report) start(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	r.send()
	running.Go(func() {
		ticker := time.NewTicker(reportEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				r.send()
			}
		}
	})
	return func() {
		cancel()
		running.Wait()
		r.send()
	}
}

// copying begins the stage of the copy.
func (r *report) copying(c copier) {
	r.event("Driver", string(StepFull))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.copier, r.stream, r.applier, r.samples = c, nil, nil, nil
}

// streaming begins the stage of the binary log.
func (r *report) streaming(s *binlog.Stream, a applier, queue int, copied int64) {
	r.event("Driver", string(StepIncr))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.copied = copied
	r.stream, r.applier, r.queue, r.samples = s, a, queue, nil
}

// relaying tells of a relay log from now on.
func (r *report) relaying(l *relay.Log) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.relay = l
}

// alone is start for a run whose source is away.
func (r *report) alone(ctx context.Context) (stop func()) {
	r.mu.Lock()
	r.away = true
	r.mu.Unlock()
	return r.start(ctx)
}

// executed is the position that is applied, zero before the run follows the binary log.
func (r *report) executed() mysql.Position {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.applier == nil {
		return mysql.Position{}
	}
	return r.applier.Stats().Position
}

// onTick has f called with every report.
func (r *report) onTick(f func(Progress)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tick = f
}

// ended tells where the target's binary log stands behind the last transaction of a run.
func (r *report) ended(at mysql.Position) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.end = at
}

func (r *report) send() {
	r.mu.Lock()
	p := r.progress(time.Now())
	if r.relay != nil {
		stats := r.relay.Stats()
		p.Relay, p.SourceAway = &stats, r.away
	}
	tick := r.tick
	r.mu.Unlock()
	r.reporter.Progress(p)
	if tick != nil {
		tick(p)
	}
}

func (r *report) progress(now time.Time) Progress {
	var p Progress
	switch {
	case r.applier != nil:
		p = Progress{Stage: string(StepIncr), Percent: 100, CopiedRows: r.copied, TotalRows: r.copied}
		r.streamed(&p, now)
		p.End = r.end
	case r.copier != nil:
		p.CopiedRows, p.TotalRows = r.copier.Rows()
		if p.TotalRows == 0 {
			return p // it has not looked yet how much there is, and how much an earlier run has copied
		}
		p.Stage, p.Percent = string(StepFull), 100*float64(p.CopiedRows)/float64(p.TotalRows)
		p.RowsPerSecond, _ = r.rates(sample{now, p.CopiedRows, 0})
		p.ETA = wait(p.TotalRows-p.CopiedRows, p.RowsPerSecond)
	}
	return p
}

func (r *report) streamed(p *Progress, now time.Time) {
	read, done := r.stream.Stats(), r.applier.Stats()
	p.Source, p.Executed = read.Position, done.Position
	p.ReadTx, p.ReadRows = read.Transactions, read.Events
	p.ExecTx, p.ExecRows = done.Transactions, done.Rows
	p.QueueTransactions, p.QueueCapacity = read.QueueTransactions, int64(r.queue)
	var txRate float64
	p.RowsPerSecond, txRate = r.rates(sample{now, done.Rows, done.Transactions})
	p.ETA = wait(read.Transactions-done.Transactions, txRate)
	p.Conflicts = done.Conflicts
	p.Lag = lag(read, done, now)
	if sameEnd(read.Position, done.Position) {
		r.level = now
	}
	if !r.level.IsZero() { // what waits is no older, whatever the source's clock says
		p.Lag = min(p.Lag, now.Sub(r.level))
	}
}

// lag is the age of the newest applied transaction while there are others to apply. The clock is the source's at the one end and ours at
// the other, and its transactions carry whole seconds: a small lag says little.
func lag(read binlog.Stats, done apply.Stats, now time.Time) time.Duration {
	if done.SourceTime.IsZero() || sameEnd(read.Position, done.Position) {
		return 0
	}
	return max(0, now.Sub(done.SourceTime))
}

// sameEnd reports whether all that was read is applied.
func sameEnd(read, done mysql.Position) bool {
	return read.File == done.File && read.Offset == done.Offset
}

// rates returns rows and transactions per second over the last reports.
func (r *report) rates(s sample) (rows, tx float64) {
	r.samples = append(r.samples, s)
	if len(r.samples) > rateWindow {
		r.samples = r.samples[1:]
	}
	first := r.samples[0]
	seconds := s.at.Sub(first.at).Seconds()
	if seconds <= 0 {
		return 0, 0
	}
	return float64(s.rows-first.rows) / seconds, float64(s.tx-first.tx) / seconds
}

// wait is how long n things take at a rate, 0 if that is unknown.
func wait(n int64, perSecond float64) time.Duration {
	if n <= 0 || perSecond <= 0 {
		return 0
	}
	return time.Duration(float64(n) / perSecond * float64(time.Second))
}

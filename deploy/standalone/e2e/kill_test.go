package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// seedSetting repeats a run with another timing than the usual.
const seedSetting = "OPSDECK_E2E_SEED"

// seed returns the seed of the random moments of this run.
func seed(t testing.TB) uint64 {
	t.Helper()
	text := os.Getenv(seedSetting)
	if text == "" {
		return 20261121
	}
	n, err := strconv.ParseUint(text, 10, 64)
	require.NoError(t, err, seedSetting)
	return n
}

// battlefield is a standalone, a source and a target, and one thing among them that a test kills and starts again.
type battlefield struct {
	o      *opsdeck
	p      *pair
	kill   func(t testing.TB)
	revive func(t testing.TB)
	goesOn bool   // the copy goes on without the victim
	cause  string // what the job's events name while the victim is away; empty when there is nobody to tell them
}

func killStandalone(t *testing.T) battlefield {
	t.Helper()
	o := newOpsdeck(t)
	return battlefield{o: o, p: sharedPair(t), kill: func(t testing.TB) { o.kill9(t) }, revive: func(t testing.TB) { o.start(t) }}
}

// newWorker starts a worker node beside a standalone without one, and returns how to kill and to revive it.
func newWorker(t *testing.T, o *opsdeck) (kill, revive func(testing.TB)) {
	t.Helper()
	out := &output{}
	worker := o.worker(t, out)
	t.Cleanup(func() {
		out.showOnFailure(t, "the worker")
		require.NoError(t, worker.end())
	})
	return func(t testing.TB) { worker.kill9(t) }, func(t testing.TB) { worker = o.worker(t, out) }
}

const noWorker = "OPSDECK_EMBEDDED_WORKER=false"

func killWorker(t *testing.T) battlefield {
	t.Helper()
	o := newOpsdeck(t, noWorker)
	kill, revive := newWorker(t, o)
	return battlefield{o: o, p: sharedPair(t), kill: kill, revive: revive}
}

// killManager kills a standalone while its worker node lives on.
func killManager(t *testing.T) battlefield {
	t.Helper()
	o := newOpsdeck(t, noWorker)
	newWorker(t, o)
	return battlefield{o: o, p: sharedPair(t), kill: func(t testing.TB) { o.kill9(t) }, revive: func(t testing.TB) { o.start(t) }, goesOn: true}
}

func killDatabase(choose func(*pair) *database) func(*testing.T) battlefield {
	return func(t *testing.T) battlefield {
		t.Helper()
		p := newPair(t)
		return battlefield{o: sharedOpsdeck(t), p: p, kill: choose(p).kill9, revive: choose(p).revive, cause: choose(p).Addr()}
	}
}

func (d *database) kill9(t testing.TB) {
	t.Helper()
	require.NoError(t, d.Kill())
}

func (d *database) revive(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startPatience)
	defer cancel()
	require.NoError(t, d.Restart(ctx))
}

// A job goes on by itself after anything in its way was killed, and nothing is lost, doubled or copied again.
func TestKill9(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("kills processes for a minute or two")
	}
	t.Logf("the moments come from %s=%d", seedSetting, seed(t))
	for i, victim := range []struct {
		name    string
		prepare func(*testing.T) battlefield
	}{
		{"standalone", killStandalone},
		{"worker", killWorker},
		{"manager", killManager},
		{"target", killDatabase(func(p *pair) *database { return p.target })},
		{"source", killDatabase(func(p *pair) *database { return p.source })},
	} {
		t.Run(victim.name, func(t *testing.T) {
			t.Parallel()
			b := victim.prepare(t)
			random := rand.New(rand.NewPCG(seed(t), uint64(i)))
			t.Run("during the copy", func(t *testing.T) { b.duringCopy(t, random) })
			t.Run("while streaming", func(t *testing.T) { b.whileStreaming(t, random) })
		})
	}
}

const chunk = 50

// duringCopy kills when a random part of the table has been copied.
func (b battlefield) duringCopy(t *testing.T, random *rand.Rand) {
	schema := newSchema()
	b.p.source.load(t, schema, bigRows)
	w := startWriter(t, b.p.source, schema, random.Uint64())
	moment := int64(bigRows * (15 + random.IntN(45)) / 100)
	job := b.o.create(t, paced(with(b.p.job("copy-"+schema, schema), "chunk_size", chunk)))
	await(t, patience, fmt.Sprintf("%d rows to be copied", moment), func(ctx context.Context) error {
		n, err := b.p.target.number(ctx, rows(schema))
		if err == nil && n < moment {
			err = fmt.Errorf("%d rows; events: %q", n, b.o.detail(t, job).messages())
		}
		return err
	})
	_, before := b.o.detail(t, job).step("job_stage_full")
	var changed, copied int64
	look := func() {
		var err error
		// The counter is read first: what is under way at the kill may still arrive, and is then counted at least once.
		changed = -b.p.target.changes(t, schema)
		copied, err = b.p.target.number(t.Context(), rows(schema))
		require.NoError(t, err)
	}
	b.kill(t)
	if b.cause == "" { // the databases live, and the copy may be over by the time that everything else is ready again
		look()
		b.revive(t)
	} else {
		b.revive(t)
		look()
	}
	require.GreaterOrEqual(t, copied, moment-20*chunk, "what was copied is still there")
	require.True(t, b.goesOn || copied < bigRows, "the copy was over before the kill: the test proves nothing")
	b.awaitCopied(t, job, before)
	changed += b.p.target.changes(t, schema)
	w.stop()
	// The writer changes a row of the table in every tenth transaction; replacing a row counts as two changes.
	bound := bigRows - copied + w.committed.Load()/2 + 20*chunk
	t.Logf("%d rows were copied before the kill, %d changed after it, at most %d may", copied, changed, bound)
	require.GreaterOrEqual(t, changed, bigRows-copied-20*chunk, "the server has counted them")
	require.Less(t, changed, bound, "the copy continued where it was, at %d rows of %d, and copied nothing again", copied, bigRows)
	b.p.awaitSame(t, schema)
	b.o.order(t, "delete", job)
}

// changes returns how many rows of the table big have been written since the server started.
func (d *database) changes(t testing.TB, schema string) int64 {
	t.Helper()
	n, err := d.number(t.Context(), "SELECT rows_changed FROM information_schema.table_statistics WHERE table_name = 'big' AND table_schema = '"+schema+"'")
	require.NoError(t, err)
	return n
}

// awaitCopied waits until the copy is finished and watches that its progress never falls back.
func (b battlefield) awaitCopied(t *testing.T, job string, before float64) {
	t.Helper()
	await(t, patience, "the copy to be finished", func(context.Context) error {
		d := b.o.detail(t, job)
		status, percent := d.step("job_stage_full")
		// The table's size is an estimate, and another one after the kill.
		require.GreaterOrEqual(t, percent, before/2, "the copy began again; events: %q", d.messages())
		if status != "finished" {
			return fmt.Errorf("it is %s at %v%%, the job is %s; events: %q", status, percent, d.status(), d.messages())
		}
		return nil
	})
	b.o.awaitStatus(t, job, "running")
}

// whileStreaming kills when a random number of transactions has been applied.
func (b battlefield) whileStreaming(t *testing.T, random *rand.Rand) {
	schema := newSchema()
	b.p.source.load(t, schema, 1000)
	job := b.o.create(t, b.p.job("stream-"+schema, schema))
	b.o.awaitCaughtUp(t, job)
	w := startWriter(t, b.p.source, schema, random.Uint64())
	applied := func(at int64) {
		t.Helper()
		await(t, patience, fmt.Sprintf("%d transactions to be applied", at), func(ctx context.Context) error {
			d := b.o.detail(t, job)
			status, _ := d.step("job_stage_full")
			require.Equal(t, "finished", status, "the copy stays finished; the job is %s, events: %q", d.status(), d.messages())
			n, err := b.p.target.number(ctx, "SELECT MAX(id) FROM "+schema+".live")
			if err == nil && n < at {
				err = fmt.Errorf("%d transactions of %d; events: %q", n, w.committed.Load(), d.messages())
			}
			return err
		})
	}
	applied(20 + random.Int64N(300))
	b.kill(t)
	if b.cause != "" {
		b.o.awaitTrouble(t, job, b.cause)
	}
	b.revive(t)
	applied(w.committed.Load() + 50)
	w.stop()
	b.p.awaitSame(t, schema)
	b.o.awaitStatus(t, job, "running")
	b.o.order(t, "delete", job)
}

// One job comes through a whole series of crashes, of whatever has its turn.
func TestKill9AgainAndAgain(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("kills processes for a minute or two")
	}
	t.Logf("the moments come from %s=%d", seedSetting, seed(t))
	random := rand.New(rand.NewPCG(seed(t), 99))
	o, p, schema := newOpsdeck(t, noWorker), newPair(t), newSchema()
	killWorker, reviveWorker := newWorker(t, o)
	victims := []struct {
		name         string
		kill, revive func(testing.TB)
	}{
		{"standalone", func(t testing.TB) { o.kill9(t) }, func(t testing.TB) { o.start(t) }},
		{"worker", killWorker, reviveWorker},
		{"target", p.target.kill9, p.target.revive},
		{"source", p.source.kill9, p.source.revive},
	}
	p.source.load(t, schema, bigRows)
	w := startWriter(t, p.source, schema, random.Uint64())
	job := o.create(t, with(p.job("again-"+schema, schema), "chunk_size", chunk))
	for range 2 {
		for _, i := range random.Perm(len(victims)) {
			b := battlefield{o: o, p: p}
			b.awaitProgress(t, job, schema, w, 2000+random.Int64N(8000))
			t.Logf("killing the %s", victims[i].name)
			victims[i].kill(t)
			victims[i].revive(t)
		}
	}
	o.awaitStep(t, job, "job_stage_full", "finished", 100)
	w.stop()
	p.awaitSame(t, schema)
	o.awaitStatus(t, job, "running")
}

// awaitProgress waits until so many rows more have been copied or, after the copy, a hundredth of it of transactions applied.
func (b battlefield) awaitProgress(t *testing.T, job, schema string, w *writer, progress int64) {
	t.Helper()
	query := "SELECT (SELECT COUNT(*) FROM " + schema + ".big) + 100 * (SELECT COUNT(*) FROM " + schema + ".live)"
	start := int64(-1)
	await(t, patience, fmt.Sprintf("progress by %d", progress), func(ctx context.Context) error {
		n, err := b.p.target.number(ctx, query)
		if err != nil {
			return err // the tables do not exist yet
		}
		if start < 0 {
			start = n
		}
		if n < start+progress {
			return fmt.Errorf("%d, %d transactions written; events: %q", n-start, w.committed.Load(), b.o.detail(t, job).messages())
		}
		return nil
	})
}

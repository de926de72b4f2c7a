package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	// chaosSetting is how long the chaos lasts, for example 20m.
	chaosSetting = "OPSDECK_CHAOS"
	chaosTime    = 3 * time.Minute
	// chaosPatience bounds the wait for a job to go on after everything in its way is healed.
	chaosPatience = 6 * time.Minute
)

// chaos is a job with everything in its way that can be broken.
type chaos struct {
	o                          *opsdeck
	p                          *pair
	workers                    [2]*chaosWorker
	toSource, toTarget, toNATS *proxy
	job                        string
}

// chaosWorker is a worker node that is started again whenever it has ended, as a service manager does it.
type chaosWorker struct {
	*process
	out      output
	settings []string
}

// fault is one thing that goes wrong for a while.
type fault struct {
	name         string
	strike, heal func(testing.TB)
}

// Random transactions and definitions on tables of all types, some of them mapped, go through a job while everything in its way is killed, stopped and
// cut off at random. In the end the target is, row by row, what the mapping makes of the source; on the way no reader of it sees a part of a transaction.
func TestChaos(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("breaks things for minutes")
	}
	for _, workers := range []int{1, 8} {
		t.Run(fmt.Sprintf("parallel_workers %d", workers), func(t *testing.T) {
			t.Parallel()
			unleash(t, workers)
		})
	}
}

func unleash(t *testing.T, workers int) {
	length := chaosTime
	if text := os.Getenv(chaosSetting); text != "" {
		var err error
		length, err = time.ParseDuration(text)
		require.NoError(t, err, chaosSetting)
	}
	t.Logf("the faults, their times and the statements come from %s=%d", seedSetting, seed(t))
	r := rand.New(rand.NewPCG(seed(t), uint64(workers)))
	c := newChaos(t)
	loadChaos(t, c.p.source, r)
	l := startLoad(t, c.p.source, r.Uint64())
	relayed := (seed(t)+uint64(workers))%2 == 0 // one of the two
	t.Logf("with a relay log: %v", relayed)
	c.job = c.o.create(t, c.document(workers, relayed))
	a := startAuditor(t, c)
	var deck []fault // every fault has its turn before one comes again
	for began := time.Now(); time.Since(began) < length; {
		together := 1
		if r.IntN(4) == 0 {
			together = 2
		}
		if len(deck) < together {
			deck = c.faults()
			r.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
		}
		struck := deck[:together]
		deck = deck[together:]
		lasts := time.Duration(100+r.IntN(2500)) * time.Millisecond
		if r.IntN(8) == 0 {
			lasts += 10 * time.Second // longer than the lease of a worker node
		}
		t.Logf("%v: %s for %v", time.Since(began).Round(time.Millisecond), names(struck), lasts)
		for _, f := range struck {
			f.strike(t)
		}
		<-time.After(lasts)
		for _, f := range struck {
			f.heal(t)
		}
		before := c.progress(t)
		await(t, chaosPatience, "the job to go on after "+names(struck), func(context.Context) error { return c.wentOn(t, before) })
	}
	l.stop()
	t.Logf("%d transactions were committed at the source", l.committed.Load())
	c.settle(t)
	c.o.awaitCaughtUp(t, c.job)
	c.o.awaitStatus(t, c.job, "running")
	a.stop(t)
	c.o.order(t, "delete", c.job)
}

func names(faults []fault) string {
	all := make([]string, len(faults))
	for i, f := range faults {
		all[i] = f.name
	}
	return strings.Join(all, " and ")
}

func newChaos(t *testing.T) *chaos {
	t.Helper()
	c := &chaos{o: newOpsdeck(t, noWorker), p: newPair(t)}
	c.toSource = startProxy(t, freePort(t), c.p.source.Addr())
	c.toTarget = startProxy(t, freePort(t), c.p.target.Addr())
	c.toNATS = startProxy(t, freePort(t), c.o.nats)
	for i := range c.workers {
		w := &chaosWorker{settings: []string{
			"OPSDECK_WORKER_DATA=" + filepath.Join(filepath.Dir(c.o.data), fmt.Sprintf("worker%d", i)),
			fmt.Sprintf("OPSDECK_WORKER_NAME=worker-%d", i),
			"OPSDECK_WORKER_NATS_URL=nats://" + fmt.Sprintf("127.0.0.1:%d", c.toNATS.port),
		}}
		w.process = c.o.worker(t, &w.out, w.settings...)
		c.workers[i] = w
		t.Cleanup(func() {
			w.out.showOnFailure(t, fmt.Sprintf("worker %d", i))
			require.NoError(t, w.end())
		})
	}
	return c
}

// document is the job: some tables under rules of their own, all others as they are.
func (c *chaos) document(workers int, relayed bool) object {
	var tables []any
	for _, table := range chaosTables() {
		if table.rename == "" && table.where == "" && table.columns == nil {
			continue
		}
		rule := object{"table_name": table.name}
		if table.rename != "" {
			rule["table_rename"] = table.rename
		}
		if table.where != "" {
			rule["where"] = table.where
		}
		if table.columns != nil {
			rule["column_map_from"] = table.columns
		}
		tables = append(tables, rule)
	}
	job := c.p.job("chaos")
	job = with(job, "replicate_do_db", []any{object{"table_schema": chaosSchema, "tables": append(tables, object{"table_regex": "."})}})
	job = with(job, "chunk_size", chunk)
	job = with(job, "binlog_relay", relayed)
	dest := job["dest_task"].(object)
	dest["parallel_workers"] = workers
	for task, proxy := range map[string]*proxy{"src_task": c.toSource, "dest_task": c.toTarget} {
		job[task].(object)["mysql_connection_config"].(object)["mysql_port"] = proxy.port
	}
	return job
}

// faults are all that can go wrong.
func (c *chaos) faults() []fault {
	all := []fault{
		{"a kill of the manager and NATS", func(testing.TB) { crash(c.o.process) }, c.revive},
		{"a kill of PostgreSQL", c.killPostgres, c.revive},
		stopped("the manager and NATS", func() int { return c.o.pid() }),
		killed("the source", c.p.source), killed("the target", c.p.target),
		stopped("the source", c.p.source.PID), stopped("the target", c.p.target.PID),
	}
	for i, w := range c.workers {
		all = append(all, fault{fmt.Sprintf("a kill of worker %d", i), func(testing.TB) { crash(w.process) }, c.revive},
			stopped(fmt.Sprintf("worker %d", i), func() int { return w.pid() }))
	}
	for name, p := range map[string]*proxy{"NATS": c.toNATS, "the source": c.toSource, "the target": c.toTarget} {
		for what, cut := range map[string]func(){"refused": p.drop, "held": p.hold, "lost": p.lose} {
			all = append(all, fault{"connections to " + name + " " + what, func(testing.TB) { cut() }, func(testing.TB) { p.heal() }})
		}
	}
	slices.SortFunc(all, func(a, b fault) int { return strings.Compare(a.name, b.name) })
	return all
}

// killed is a crash of a database server.
func killed(name string, d *database) fault {
	return fault{"a kill of " + name, d.kill9, d.revive}
}

// crash kills a process that may have ended already.
func crash(p *process) {
	_ = syscall.Kill(p.pid(), syscall.SIGKILL) // gone is as good
	<-p.exited
}

// stopped is a process that hangs.
func stopped(name string, pid func() int) fault {
	signal := func(s syscall.Signal) func(testing.TB) {
		return func(testing.TB) { _ = syscall.Kill(pid(), s) } // another fault may have ended it
	}
	return fault{"a stop of " + name, signal(syscall.SIGSTOP), signal(syscall.SIGCONT)}
}

// killPostgres kills the manager's database, which ends the standalone sooner or later.
func (c *chaos) killPostgres(t testing.TB) {
	text, err := os.ReadFile(filepath.Join(c.o.data, "postgres", "data", "postmaster.pid"))
	if err != nil {
		return // another fault has ended it
	}
	pid, err := strconv.Atoi(strings.TrimSpace(strings.SplitN(string(text), "\n", 2)[0]))
	require.NoError(t, err)
	_ = syscall.Kill(pid, syscall.SIGKILL) // may be gone
}

// revive starts again whatever has ended.
func (c *chaos) revive(t testing.TB) {
	t.Helper()
	if !c.o.running() {
		c.o.start(t)
	}
	for _, w := range c.workers {
		if !w.running() {
			w.process = c.o.worker(t, &w.out, w.settings...)
		}
	}
}

// progress is how far the job has come, as the target knows.
func (c *chaos) progress(t testing.TB) string {
	t.Helper()
	text, err := c.p.target.text(t.Context(), `SELECT CONCAT_WS(' ', (SELECT CONCAT_WS(' ', stage, transactions) FROM opsdeck.replication_job),
		(SELECT CONCAT(COUNT(*), ' chunks') FROM opsdeck.replication_chunk))`)
	if err != nil {
		return "" // nothing yet
	}
	return text
}

// settle waits, for as long as the job goes on, until the target is what the mapping makes of the source: how much is left depends on the faults.
func (c *chaos) settle(t testing.TB) {
	t.Helper()
	for before := ""; ; before = c.progress(t) {
		var difference error
		await(t, chaosPatience, "the target to be what the mapping makes of the source", func(ctx context.Context) error {
			if c.wentOn(t, before) == nil {
				difference = errors.New("the job goes on")
				return nil
			}
			if difference = c.sameTotals(ctx); difference == nil { // or there is no need to look at every row
				difference = verdict(ctx, c.p)
			}
			return difference
		})
		if difference == nil {
			return
		}
	}
}

// sameTotals returns nil when the target has come as far as the source.
func (c *chaos) sameTotals(ctx context.Context) error {
	ours, err := accounts(ctx, c.p.source)
	if err != nil {
		return err
	}
	theirs, err := accounts(ctx, c.p.target)
	if err != nil || slices.Equal(ours, theirs) {
		return err
	}
	return fmt.Errorf("the totals are %v at the source, %v at the target", ours, theirs)
}

// wentOn returns nil when the job has made progress since.
func (c *chaos) wentOn(t testing.TB, before string) error {
	c.revive(t)
	if now := c.progress(t); now == "" || now == before {
		return fmt.Errorf("it stands at %q", now)
	}
	return nil
}

package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/opsdeck/opsdeck/services/replication-jobs/mariadb"
)

const (
	beatEvery = 20 * time.Millisecond
	pollEvery = time.Millisecond
	steady    = 500 // transactions a second
	// warmUp is how long a follower is under load before its lag counts: it has just been started, and reads the definitions of its tables at
	// the first changes.
	warmUp = time.Second
)

// lags measures how long after its commit at the source a row can be read from the follower, while transactions are committed at a steady
// rate and as fast as the source goes. Only one follower runs at a time.
func (e *engines) lags(ctx context.Context, out io.Writer, followers []*follower) error {
	if err := e.source.Exec(ctx, "CREATE TABLE bench.beat (n INT PRIMARY KEY)"); err != nil {
		return err
	}
	if err := each(ctx, followers, func(f *follower) error { return f.stop(ctx) }); err != nil {
		return err
	}
	for _, perSecond := range []rate.Limit{steady, rate.Inf} {
		title := fmt.Sprintf("Lag at %d transactions/s", steady)
		if perSecond == rate.Inf {
			title = "Lag at the source's full speed"
		}
		rounds := make([][]result, len(followers))
		for range e.size.Rounds {
			for i, f := range followers {
				r, err := e.lag(ctx, f, perSecond)
				if err != nil {
					return fmt.Errorf("%s: %w", f.name, err)
				}
				rounds[i] = append(rounds[i], r)
			}
		}
		reportLags(out, title, followers, rounds)
	}
	return nil
}

// reportLags prints the median of each follower's rounds by p99, and the p99 of all of them.
func reportLags(out io.Writer, title string, followers []*follower, rounds [][]result) {
	fmt.Fprintf(out, "\n### %s\n\n| arm | p50 | p99 | transactions/s at the source | rounds of p99 |\n| --- | --- | --- | --- | --- |\n", title)
	for i, f := range followers {
		var all []time.Duration
		for _, r := range rounds[i] {
			all = append(all, r.p99.Round(100*time.Microsecond))
		}
		slices.SortFunc(rounds[i], func(x, y result) int { return cmp.Compare(x.p99, y.p99) })
		m := rounds[i][len(rounds[i])/2]
		fmt.Fprintf(out, "| %s | %v | %v | %.0f | %v |\n", f.name, m.p50.Round(100*time.Microsecond), m.p99.Round(100*time.Microsecond), m.perSecond, all)
	}
}

func (e *engines) lag(ctx context.Context, f *follower, perSecond rate.Limit) (result, error) {
	if err := e.source.Exec(ctx, "DELETE FROM bench.beat"); err != nil {
		return result{}, err
	}
	last, err := e.position(ctx)
	if err != nil {
		return result{}, err
	}
	if err := f.start(ctx); err != nil {
		return result{}, err
	}
	if err := f.await(ctx, last); err != nil {
		return result{}, err
	}
	r, err := e.beating(ctx, f.server, perSecond)
	return r, errors.Join(err, f.stop(ctx))
}

// beating writes load and heartbeats for a while, and waits until the last of them has arrived. Those of the warm-up do not count.
func (e *engines) beating(ctx context.Context, server *mariadb.Server, perSecond rate.Limit) (result, error) {
	group, ctx := errgroup.WithContext(ctx)
	limiter := rate.NewLimiter(perSecond, 1)
	long := warmUp + e.size.Lag
	end := time.Now().Add(long)
	var written atomic.Int64
	group.Go(func() error {
		endless := *e
		endless.size.Transactions = int(^uint32(0) >> 4) // until the time is over
		return endless.writing(ctx, func(ctx context.Context, _ int) (bool, error) {
			written.Add(1)
			return time.Now().Before(end), limiter.Wait(ctx)
		})
	})
	committed := make([]time.Time, long/beatEvery)
	var beats atomic.Int64
	group.Go(func() error { return e.beat(ctx, committed, &beats) })
	var late []time.Duration
	group.Go(func() (err error) {
		late, err = e.watch(ctx, server, committed, &beats)
		return err
	})
	if err := group.Wait(); err != nil {
		return result{}, err
	}
	late = late[warmUp/beatEvery:]
	slices.Sort(late)
	return result{perSecond: float64(written.Load()) / long.Seconds(), p50: late[len(late)/2], p99: late[len(late)*99/100]}, nil
}

// beat commits one row after the other and notes when.
func (e *engines) beat(ctx context.Context, committed []time.Time, beats *atomic.Int64) error {
	conn, err := e.source.Connect(ctx, "bench")
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // what matters was committed
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for n := range committed {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if _, err := conn.Execute("INSERT INTO beat VALUES (" + strconv.Itoa(n+1) + ")"); err != nil {
			return err
		}
		committed[n] = time.Now()
		beats.Store(int64(n + 1))
	}
	return nil
}

// watch notes when each beat arrives, to a millisecond or so.
func (e *engines) watch(ctx context.Context, server *mariadb.Server, committed []time.Time, beats *atomic.Int64) ([]time.Duration, error) {
	conn, err := server.Connect(ctx, "bench")
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() // it only reads
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	arrived := make([]time.Time, 0, len(committed))
	for len(arrived) < len(committed) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		r, err := conn.Execute("SELECT IFNULL(MAX(n), 0) FROM beat")
		if err != nil {
			return nil, err
		}
		newest, err := r.GetInt(0, 0)
		if err != nil {
			return nil, err
		}
		for now := time.Now(); int64(len(arrived)) < newest; { // all of them were seen at this moment
			arrived = append(arrived, now)
		}
	}
	if beats.Load() < int64(len(committed)) {
		return nil, fmt.Errorf("%d beats have arrived of %d", len(arrived), beats.Load())
	}
	late := make([]time.Duration, len(arrived))
	for n := range arrived {
		late[n] = max(0, arrived[n].Sub(committed[n])) // it may be read before its commit has been reported
	}
	return late, nil
}

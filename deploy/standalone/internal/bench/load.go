// Package bench measures opsdeck beside its peers in one run, so that a slow machine slows all of them alike. Ratios are what
// counts; the absolute figures only say what the machine was like.
package bench

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// callers is how many clients ask at once.
const callers = 8

// result is what one arm did in one round.
type result struct {
	perSecond    float64
	p50, p99     time.Duration
	seconds, cpu float64 // the latter of the server that did the work
}

// hammer calls once from several callers at a time for a while.
func hammer(ctx context.Context, length time.Duration, once func(context.Context) error) (result, error) {
	var mu sync.Mutex
	var all []time.Duration
	group, ctx := errgroup.WithContext(ctx)
	start := time.Now()
	for range callers {
		group.Go(func() error {
			var mine []time.Duration
			for time.Since(start) < length {
				begin := time.Now()
				if err := once(ctx); err != nil {
					return err
				}
				mine = append(mine, time.Since(begin))
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, mine...)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return result{}, err
	}
	slices.Sort(all)
	return result{
		perSecond: float64(len(all)) / time.Since(start).Seconds(),
		p50:       all[len(all)/2], p99: all[len(all)*99/100],
	}, nil
}

// arm is one of the things that are compared. The last arm is the peer that ratios are made with.
type arm struct {
	name   string
	rounds []result
	// deadlocks are the rounds that have no result; see errDeadlock.
	deadlocks int
}

// median returns the middle round by rate, an empty one if none has a result.
func (a arm) median() result {
	if len(a.rounds) == 0 {
		return result{}
	}
	sorted := slices.Clone(a.rounds)
	slices.SortFunc(sorted, func(x, y result) int {
		switch {
		case x.perSecond < y.perSecond:
			return -1
		case x.perSecond > y.perSecond:
			return 1
		}
		return 0
	})
	return sorted[len(sorted)/2]
}

// report prints the medians of all arms, their ratio to the last, and the CPU time that the server took which did the work.
func report(out io.Writer, title, unit string, arms []arm) {
	fmt.Fprintf(out, "\n### %s\n\n| arm | %s | ratio to %s | CPU s | p50 | p99 | rounds |\n| --- | --- | --- | --- | --- | --- | --- |\n", title, unit, arms[len(arms)-1].name)
	peer := arms[len(arms)-1].median()
	for _, a := range arms {
		m := a.median()
		rate, ratio, p50, p99, spent := "-", "-", "-", "-", "-"
		if m.perSecond > 0 {
			rate, ratio = fmt.Sprintf("%.0f", m.perSecond), fmt.Sprintf("%.2f", m.perSecond/peer.perSecond)
		}
		if m.cpu > 0 {
			spent = fmt.Sprintf("%.1f", m.cpu)
		}
		if m.p50 > 0 {
			p50, p99 = m.p50.Round(10*time.Microsecond).String(), m.p99.Round(10*time.Microsecond).String()
		}
		var rounds []string
		for _, r := range a.rounds {
			rounds = append(rounds, fmt.Sprintf("%.0f", r.perSecond))
		}
		for range a.deadlocks {
			rounds = append(rounds, "deadlock")
		}
		fmt.Fprintf(out, "| %s | %s | %s | %s | %s | %s | %v |\n", a.name, rate, ratio, spent, p50, p99, rounds)
	}
}

package e2e

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// auditor reads ledger and balance of the target, all the time and in one statement.
type auditor struct {
	cancel context.CancelFunc
	done   sync.WaitGroup
	audits int
	torn   error
}

// auditRest is the least time between two audits.
const auditRest = 200 * time.Millisecond

// totals is how often a writer's changes are there, and what they come to, as the ledger and as the balance have it.
const totals = `SELECT CONCAT_WS(' ', b.writer, b.seq, b.total, SUM(l.amount), COUNT(*), COUNT(DISTINCT l.seq)) FROM balance b JOIN ledger l USING (writer)
	GROUP BY b.writer ORDER BY b.writer`

// startAuditor audits from the moment on when the target has all that was written up to the end of the copy: before, an interrupted copy has rows of
// several moments.
func startAuditor(t testing.TB, c *chaos) *auditor {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	a := &auditor{cancel: cancel}
	a.done.Go(func() {
		var from []account
		rest := auditRest
		for a.torn == nil {
			select {
			case <-ctx.Done():
				return
			case <-time.After(rest):
			}
			rest = auditRest
			if from == nil {
				from = c.atTheEndOfTheCopy(ctx)
				continue
			}
			began := time.Now()
			now, err := accounts(ctx, c.p.target)
			rest = max(rest, 10*time.Since(began)) // or a long ledger would keep the target from its work
			if err != nil || !reached(now, from) {
				continue // the server is down, or the rows are of several moments
			}
			a.audits++
			for _, account := range now {
				a.torn = errors.Join(a.torn, account.check())
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		a.done.Wait()
	})
	return a
}

// stop ends the audits and fails if one has found something, or none has taken place.
func (a *auditor) stop(t testing.TB) {
	t.Helper()
	a.cancel()
	a.done.Wait()
	require.NoError(t, a.torn, "a reader of the target has seen this")
	require.Positive(t, a.audits, "the job was never behind its copy")
	t.Logf("%d audits of the target", a.audits)
}

// account is a writer's line of totals.
type account struct {
	writer, seq, balance, ledger, entries, different int64
}

func (a account) check() error {
	if a.balance == a.ledger && a.entries == a.different {
		return nil
	}
	return fmt.Errorf("writer %d up to %d: the balance is %d, the ledger comes to %d in %d entries, %d of them different", a.writer, a.seq, a.balance, a.ledger, a.entries, a.different)
}

func accounts(ctx context.Context, d *database) ([]account, error) {
	conn, err := d.Connect(ctx, chaosSchema)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() // the answer is here
	defer context.AfterFunc(ctx, func() { _ = conn.Conn.Conn.Close() })()
	lines, err := column(conn, totals)
	if err != nil {
		return nil, err
	}
	all := make([]account, len(lines))
	for i, line := range lines {
		a := &all[i]
		if _, err := fmt.Sscan(line, &a.writer, &a.seq, &a.balance, &a.ledger, &a.entries, &a.different); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// atTheEndOfTheCopy is what the source has once the job is behind its copy; nil before.
func (c *chaos) atTheEndOfTheCopy(ctx context.Context) []account {
	stage, err := c.p.target.text(ctx, "SELECT stage FROM opsdeck.replication_job")
	if err != nil || stage != "stream" {
		return nil
	}
	all, err := accounts(ctx, c.p.source)
	if err != nil {
		return nil
	}
	return all
}

// reached reports whether every writer has come at least as far as before.
func reached(now, before []account) bool {
	if len(now) < len(before) {
		return false
	}
	for i, a := range before {
		if now[i].seq < a.seq {
			return false
		}
	}
	return true
}

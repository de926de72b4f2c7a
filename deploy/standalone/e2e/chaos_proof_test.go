package e2e

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// The verdict over the chaos sees a change that is applied twice and one that is lost: here the position of the job and the rows are not in one
// transaction, because one of the two tables has an engine without transactions.
func TestChaosVerdictSees(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, spoil string
		crash       func(t *testing.T, p *pair, killWorker func(testing.TB))
		want        string
	}{
		{
			"a change that is applied twice", "ALTER TABLE " + chaosSchema + ".ledger ENGINE=MyISAM", killBeforePosition,
			"ledger: the target lacks 0 rows, such as [], and has 1 too many",
		},
		{
			"a change that is lost", "ALTER TABLE opsdeck.replication_job ENGINE=Aria", killBeforeCommit,
			"ledger: the target lacks 1 rows",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o, p := newOpsdeck(t, noWorker), newPair(t)
			kill, revive := newWorker(t, o)
			p.source.exec(t, "CREATE DATABASE "+chaosSchema, "CREATE TABLE "+chaosSchema+".ledger (writer INT NOT NULL, seq BIGINT NOT NULL, amount INT NOT NULL)")
			job := o.create(t, p.job("proof", chaosSchema))
			o.awaitCaughtUp(t, job)
			entry(t, p, 1)
			await(t, patience, "the first entry", func(ctx context.Context) error { return verdict(ctx, p) })
			kill(t)
			p.target.exec(t, test.spoil)
			revive(t)
			entry(t, p, 2)
			await(t, patience, "the entry before the crash", func(ctx context.Context) error { return verdict(ctx, p) })
			test.crash(t, p, kill)
			revive(t)
			entry(t, p, 9)
			await(t, patience, "the entry behind the crash", func(ctx context.Context) error {
				return p.target.wants(ctx, 1, "SELECT COUNT(*) FROM "+chaosSchema+".ledger WHERE seq = 9")
			})
			require.ErrorContains(t, verdict(t.Context(), p), test.want)
		})
	}
}

// entry is one source transaction.
func entry(t *testing.T, p *pair, seq int) {
	t.Helper()
	p.source.exec(t, fmt.Sprintf("INSERT INTO %s.ledger VALUES (1, %d, 5)", chaosSchema, seq))
}

// killBeforePosition kills the worker and the target when the transaction has written a row and waits to write the position.
func killBeforePosition(t *testing.T, p *pair, killWorker func(testing.TB)) {
	t.Helper()
	conn, err := p.target.Connect(t.Context(), "")
	require.NoError(t, err)
	defer func() { _ = conn.Close() }() // its server was killed
	for _, statement := range []string{"BEGIN", "SELECT * FROM opsdeck.replication_job FOR UPDATE"} {
		_, err = conn.Execute(statement)
		require.NoError(t, err)
	}
	entry(t, p, 3)
	await(t, patience, "the row of the open transaction", func(ctx context.Context) error { return verdict(ctx, p) })
	p.target.kill9(t)
	killWorker(t)
	p.target.revive(t)
}

// killBeforeCommit kills the worker and the target when the position is written and the row waits for its commit.
func killBeforeCommit(t *testing.T, p *pair, killWorker func(testing.TB)) {
	t.Helper()
	const transactions = "SELECT transactions FROM opsdeck.replication_job"
	before, err := p.target.number(t.Context(), transactions)
	require.NoError(t, err)
	p.target.exec(t, "SET GLOBAL binlog_commit_wait_usec = 30000000", "SET GLOBAL binlog_commit_wait_count = 1000")
	entry(t, p, 3)
	await(t, patience, "the position ahead of its rows", func(ctx context.Context) error { return p.target.wants(ctx, before+1, transactions) })
	require.NoError(t, p.target.wants(t.Context(), 2, "SELECT COUNT(*) FROM "+chaosSchema+".ledger"))
	p.target.kill9(t)
	killWorker(t)
	p.target.revive(t)
}

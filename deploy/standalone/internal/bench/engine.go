package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"time"

	gomysql "github.com/go-mysql-org/go-mysql/client"
	"golang.org/x/sync/errgroup"

	"github.com/opsdeck/opsdeck/deploy/standalone/internal/operator"
	"github.com/opsdeck/opsdeck/deploy/standalone/internal/stage"
	"github.com/opsdeck/opsdeck/services/replication-jobs/mariadb"
)

const (
	tableCount = 8
	writers    = 4
	rounds     = 3
	patience   = 10 * time.Minute
)

// Size says how much is replicated.
type Size struct {
	// Rows are those of each of eight tables, Transactions those of a backlog.
	Rows, Transactions int
	// Rounds are the times that everything is measured.
	Rounds int
	// Lag is how long each lag is measured.
	Lag time.Duration
}

// Usual is the size of the documented measurements.
var Usual = Size{Rows: 100_000, Transactions: 30_000, Rounds: rounds, Lag: 10 * time.Second}

// engines compares the replication engine with MariaDB's own tools, on the same servers and rows.
type engines struct {
	opsdeck        *operator.Client
	source, target *mariadb.Server
	size           Size
	copied         string // the job of the last copy, "" if it was deleted
}

func (e *engines) rows() int { return tableCount * e.size.Rows }

// prepare makes tables like sysbench's: a primary key, an indexed number and two texts.
func (e *engines) prepare(ctx context.Context) error {
	statements := []string{"CREATE DATABASE bench"}
	for i := range tableCount {
		table := "bench.t" + strconv.Itoa(i)
		statements = append(statements,
			"CREATE TABLE "+table+" (id INT PRIMARY KEY, k INT NOT NULL, c CHAR(120) NOT NULL, pad CHAR(60) NOT NULL, KEY (k))",
			fmt.Sprintf("INSERT INTO %s SELECT seq, seq * 7919 MOD 100000, REPEAT(MD5(seq), 3), MD5(seq) FROM bench.seq_1_to_%d", table, e.size.Rows))
	}
	return e.source.Exec(ctx, statements...)
}

// copyArm is a way to copy all tables from source to target.
type copyArm struct {
	arm
	copy func(context.Context, int) error
}

// copies measures full copies.
func (e *engines) copies(ctx context.Context, out io.Writer, arms []copyArm) error {
	for round := range e.size.Rounds {
		for i := range arms {
			took, err := e.copyOnce(ctx, arms[i], round)
			switch {
			case errors.Is(err, errDeadlock):
				arms[i].deadlocks++
			case err != nil:
				return fmt.Errorf("%s: %w", arms[i].name, err)
			default:
				arms[i].rounds = append(arms[i].rounds, took)
			}
		}
	}
	plain := make([]arm, len(arms))
	for i, a := range arms {
		plain[i] = a.arm
	}
	report(out, fmt.Sprintf("Full copy of %d tables, %d rows", tableCount, e.rows()), "rows/s", plain)
	return nil
}

// copyOnce measures a copy to a target that has none of the rows yet, and compares what has arrived.
func (e *engines) copyOnce(ctx context.Context, a copyArm, round int) (result, error) {
	if err := e.target.Exec(ctx, "DROP DATABASE IF EXISTS bench"); err != nil {
		return result{}, err
	}
	took, err := e.timed(e.target, func() error { return a.copy(ctx, round) })
	if err != nil {
		return result{}, err
	}
	if err := e.equal(ctx, e.target); err != nil {
		return result{}, err
	}
	took.perSecond = float64(e.rows()) / took.seconds
	return took, e.forget(ctx)
}

// timed measures something, and the CPU time that a server spends on it.
func (e *engines) timed(server *mariadb.Server, do func() error) (result, error) {
	before, err := cpu(server)
	if err != nil {
		return result{}, err
	}
	start := time.Now()
	if err := do(); err != nil {
		return result{}, err
	}
	took := time.Since(start).Seconds()
	after, err := cpu(server)
	return result{seconds: took, cpu: after - before}, err
}

func (e *engines) copyByJob(ctx context.Context, round int) error {
	id, err := e.opsdeck.CreateJob(ctx, operator.Job{
		Name: "copy" + strconv.Itoa(round), Steps: "job_stage_full", Source: stage.Instance(e.source), Target: stage.Instance(e.target), Schemas: []string{"bench"}, Writers: 4,
	})
	if err != nil {
		return err
	}
	err = operator.Await(ctx, id, patience, func(ctx context.Context) (bool, error) {
		d, err := e.opsdeck.Detail(ctx, id)
		return d.Profile.Base.Status == "finished", err
	})
	e.copied = id
	return err
}

// forget deletes the job of a copy that was measured: the next one takes its tables.
func (e *engines) forget(ctx context.Context) error {
	id := e.copied
	if e.copied = ""; id == "" {
		return nil
	}
	return e.opsdeck.Order(ctx, "delete", id)
}

func (e *engines) copyByDump(ctx context.Context, _ int) error {
	return pipe(client(ctx, e.source, "mariadb-dump", "--single-transaction", "--databases", "bench"), client(ctx, e.target, "mariadb"))
}

// client is one of MariaDB's programs, about to be told what to do on a server.
func client(ctx context.Context, s *mariadb.Server, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, append(flags(s), args...)...) //nolint:gosec // our own server's address
	cmd.Env = []string{"MYSQL_PWD=" + s.Password()}
	return cmd
}

// pipe runs a program that reads what another writes.
func pipe(from, to *exec.Cmd) error {
	var err error
	if to.Stdin, err = from.StdoutPipe(); err != nil {
		return err
	}
	if err := from.Start(); err != nil {
		return err
	}
	if text, err := to.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", to.Path, err, text)
	}
	return from.Wait()
}

func flags(s *mariadb.Server) []string {
	return []string{"--no-defaults", "--host=127.0.0.1", "--port=" + strconv.Itoa(int(s.Port())), "--user=" + s.User()}
}

// write commits the transactions that the arms catch up with: what sysbench calls oltp_write_only.
func (e *engines) write(ctx context.Context) error {
	return e.writing(ctx, func(context.Context, int) (bool, error) { return true, nil })
}

// writing commits transactions from several sessions, each of which asks before the nth whether to go on.
func (e *engines) writing(ctx context.Context, next func(context.Context, int) (bool, error)) error {
	group, ctx := errgroup.WithContext(ctx)
	for w := range writers {
		group.Go(func() error {
			conn, err := e.source.Connect(ctx, "bench")
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close() }() // what matters was committed
			for n := w; n < e.size.Transactions; n += writers {
				if more, err := next(ctx, n); err != nil || !more {
					return err
				}
				if err := e.transaction(conn, n); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

func (e *engines) transaction(conn *gomysql.Conn, n int) error {
	table := "t" + strconv.Itoa(n%tableCount)
	fresh := e.size.Rows*2 + n
	for _, statement := range []string{
		"BEGIN",
		fmt.Sprintf("UPDATE %s SET k = k + 1 WHERE id = %d", table, 1+n*7919%e.size.Rows),
		fmt.Sprintf("UPDATE %s SET c = REPEAT(MD5(%d), 3) WHERE id = %d", table, fresh, 1+n*104729%e.size.Rows),
		fmt.Sprintf("REPLACE INTO %s VALUES (%d, %d, 'c', 'p')", table, fresh, fresh),
		fmt.Sprintf("DELETE FROM %s WHERE id = %d", table, fresh-8000),
		"COMMIT",
	} {
		if _, err := conn.Execute(statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// position returns the source's newest GTID.
func (e *engines) position(ctx context.Context) (string, error) {
	return e.source.Value(ctx, "SELECT @@gtid_binlog_pos")
}

// equal compares the checksums of all tables.
func (e *engines) equal(ctx context.Context, target *mariadb.Server) error {
	for i := range tableCount {
		query := "CHECKSUM TABLE bench.t" + strconv.Itoa(i)
		want, err := e.source.Value(ctx, query)
		if err != nil {
			return err
		}
		got, err := target.Value(ctx, query)
		if err != nil {
			return err
		}
		if want != got || want == "" {
			return fmt.Errorf("%s is %s on the source and %s on the target", query, want, got)
		}
	}
	return nil
}

package bench

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"golang.org/x/sync/errgroup"

	"github.com/opsdeck/opsdeck/deploy/standalone/internal/operator"
	"github.com/opsdeck/opsdeck/deploy/standalone/internal/stage"
	"github.com/opsdeck/opsdeck/services/replication-jobs/mariadb"
)

const (
	tableCount   = 8
	rowsPerTable = 100_000
	transactions = 30_000
	writers      = 4
	rounds       = 3
	patience     = 10 * time.Minute
)

// engines compares the replication engine with MariaDB's own tools, on the same servers and rows.
type engines struct {
	opsdeck        *operator.Client
	source, target *mariadb.Server
	native         *mariadb.Server // MariaDB's own replica of source
}

// prepare makes tables like sysbench's: a primary key, an indexed number and two texts.
func (e *engines) prepare(ctx context.Context) error {
	statements := []string{"CREATE DATABASE bench"}
	for i := range tableCount {
		table := "bench.t" + strconv.Itoa(i)
		statements = append(statements,
			"CREATE TABLE "+table+" (id INT PRIMARY KEY, k INT NOT NULL, c CHAR(120) NOT NULL, pad CHAR(60) NOT NULL, KEY (k))",
			fmt.Sprintf("INSERT INTO %s SELECT seq, seq * 7919 MOD 100000, REPEAT(MD5(seq), 3), MD5(seq) FROM bench.seq_1_to_%d", table, rowsPerTable))
	}
	return e.source.Exec(ctx, statements...)
}

// copies measures full copies: a job with the one step job_stage_full, and mariadb-dump piped into mariadb.
func (e *engines) copies(ctx context.Context, out io.Writer) error {
	ours, peer := arm{name: "opsdeck, job_stage_full"}, arm{name: "mariadb-dump piped to mariadb"}
	for round := range rounds {
		for _, measure := range []struct {
			arm  *arm
			copy func(context.Context, int) error
		}{{&ours, e.copyByJob}, {&peer, e.copyByDump}} {
			if err := e.target.Exec(ctx, "DROP DATABASE IF EXISTS bench"); err != nil {
				return err
			}
			start := time.Now()
			if err := measure.copy(ctx, round); err != nil {
				return fmt.Errorf("%s: %w", measure.arm.name, err)
			}
			measure.arm.rounds = append(measure.arm.rounds, result{perSecond: tableCount * rowsPerTable / time.Since(start).Seconds()})
			if err := e.equal(ctx, e.target); err != nil {
				return fmt.Errorf("%s: %w", measure.arm.name, err)
			}
		}
	}
	report(out, fmt.Sprintf("Full copy of %d tables, %d rows", tableCount, tableCount*rowsPerTable), "rows/s", []arm{ours, peer})
	return nil
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
	if err != nil {
		return err
	}
	return e.opsdeck.Order(ctx, "delete", id)
}

func (e *engines) copyByDump(ctx context.Context, _ int) error {
	dump := exec.CommandContext(ctx, "mariadb-dump", append(flags(e.source), "--single-transaction", "--databases", "bench")...) //nolint:gosec // our own server's address
	load := exec.CommandContext(ctx, "mariadb", flags(e.target)...)                                                              //nolint:gosec // our own server's address
	dump.Env, load.Env = []string{"MYSQL_PWD=" + e.source.Password()}, []string{"MYSQL_PWD=" + e.target.Password()}
	pipe, err := dump.StdoutPipe()
	if err != nil {
		return err
	}
	load.Stdin = pipe
	if err := dump.Start(); err != nil {
		return err
	}
	if text, err := load.CombinedOutput(); err != nil {
		return fmt.Errorf("mariadb: %w: %s", err, text)
	}
	return dump.Wait()
}

func flags(s *mariadb.Server) []string {
	return []string{"--no-defaults", "--host=127.0.0.1", "--port=" + strconv.Itoa(int(s.Port())), "--user=" + s.User()}
}

// write commits the transactions that the arms catch up with: what sysbench calls oltp_write_only.
func (e *engines) write(ctx context.Context) error {
	var group errgroup.Group
	for w := range writers {
		group.Go(func() error {
			conn, err := e.source.Connect(ctx, "bench")
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close() }() // what matters was committed
			for n := w; n < transactions; n += writers {
				if err := transaction(conn, n); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

func transaction(conn *client.Conn, n int) error {
	table := "t" + strconv.Itoa(n%tableCount)
	fresh := rowsPerTable*2 + n
	for _, statement := range []string{
		"BEGIN",
		fmt.Sprintf("UPDATE %s SET k = k + 1 WHERE id = %d", table, 1+n*7919%rowsPerTable),
		fmt.Sprintf("UPDATE %s SET c = REPEAT(MD5(%d), 3) WHERE id = %d", table, fresh, 1+n*104729%rowsPerTable),
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

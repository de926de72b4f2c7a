package bench

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"runtime"

	"github.com/opsdeck/opsdeck/deploy/standalone/internal/stage"
	"github.com/opsdeck/opsdeck/services/replication-jobs/mariadb"
)

// Run measures everything in a temporary directory below dir and writes the tables of docs/benchmarks.md.
func Run(ctx context.Context, out io.Writer, dir, address string, serve stage.Server) error {
	return stage.Run(ctx, dir, address, serve, func(ctx context.Context, on *stage.Stage) error { return measure(ctx, out, on) })
}

func measure(ctx context.Context, out io.Writer, on *stage.Stage) error {
	var all [3]*mariadb.Server
	defer func() {
		for _, server := range all {
			if server != nil {
				_ = server.Kill() // its files are thrown away
			}
		}
	}()
	for i := range all {
		var err error
		all[i], err = mariadb.Start(ctx, mariadb.Options{Dir: filepath.Join(on.Dir, fmt.Sprintf("db%d", i)), ServerID: uint32(i + 1), Args: []string{
			"--innodb-buffer-pool-size=1G", "--innodb-log-file-size=512M", "--innodb-flush-log-at-trx-commit=1", "--sync-binlog=1", "--log-slave-updates",
		}})
		if err != nil {
			return err
		}
	}
	opsdeck, err := on.SignIn(ctx)
	if err != nil {
		return err
	}
	e := &engines{opsdeck: opsdeck, source: all[0], target: all[1], native: all[2]}
	fmt.Fprintf(out, "%d CPUs, %s, medians of %d interleaved rounds\n", runtime.NumCPU(), runtime.Version(), rounds)
	if err := e.prepare(ctx); err != nil {
		return err
	}
	if err := e.copies(ctx, out); err != nil {
		return err
	}
	if err := e.catchUps(ctx, out); err != nil {
		return err
	}
	return requests(ctx, out, opsdeck, on)
}

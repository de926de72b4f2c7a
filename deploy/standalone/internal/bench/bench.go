package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/opsdeck/opsdeck/deploy/standalone/internal/operator"
	"github.com/opsdeck/opsdeck/services/replication-jobs/mariadb"
)

// captcha is the answer to every captcha of the measured opsdeck.
const captcha = "00036"

// Server starts opsdeck with a data directory, an administrator's password and a captcha answer, and returns when it ends.
type Server func(ctx context.Context, dir, password, captcha, address string) error

// Run measures everything in a temporary directory and writes the tables of docs/benchmarks.md.
func Run(ctx context.Context, out io.Writer, dir, address string, serve Server) (err error) {
	dir, err = os.MkdirTemp(dir, "opsdeck-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // the database servers run as users of their own and must reach their folders in it
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	group, ctx := errgroup.WithContext(ctx)
	password, data := rand.Text(), filepath.Join(dir, "opsdeck")
	group.Go(func() error { return serve(ctx, data, password, captcha, address) })
	group.Go(func() error {
		defer cancel()
		return measure(ctx, out, dir, data, password, address)
	})
	return group.Wait()
}

func measure(ctx context.Context, out io.Writer, dir, data, password, address string) error {
	e := &engines{opsdeck: operator.New(address)}
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
		all[i], err = mariadb.Start(ctx, mariadb.Options{Dir: filepath.Join(dir, fmt.Sprintf("db%d", i)), ServerID: uint32(i + 1), Args: []string{
			"--innodb-buffer-pool-size=1G", "--innodb-log-file-size=512M", "--innodb-flush-log-at-trx-commit=1", "--sync-binlog=1", "--log-slave-updates",
		}})
		if err != nil {
			return err
		}
	}
	e.source, e.target, e.native = all[0], all[1], all[2]
	err := operator.Await(ctx, "opsdeck to be ready", time.Minute, func(ctx context.Context) (bool, error) { return e.opsdeck.Ready(ctx), nil })
	if err != nil {
		return err
	}
	if err := e.opsdeck.Login(ctx, captcha, password); err != nil {
		return err
	}
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
	return requests(ctx, out, e.opsdeck, address, data)
}

package bench

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"

	"golang.org/x/sync/errgroup"

	"github.com/opsdeck/opsdeck/deploy/standalone/internal/stage"
	"github.com/opsdeck/opsdeck/services/replication-jobs/mariadb"
)

// RunReplication measures the replication engine beside everything that does its work otherwise, in a temporary directory below dir.
func RunReplication(ctx context.Context, out io.Writer, dir, address string, serve stage.Server, size Size) error {
	return stage.Run(ctx, dir, address, serve, func(ctx context.Context, on *stage.Stage) error { return measureReplication(ctx, out, on, size) })
}

func measureReplication(ctx context.Context, out io.Writer, on *stage.Stage, size Size) error {
	servers, kill, err := startServers(ctx, on, 6)
	defer kill()
	if err != nil {
		return err
	}
	opsdeck, err := on.SignIn(ctx)
	if err != nil {
		return err
	}
	e := &engines{opsdeck: opsdeck, source: servers[0], target: servers[1], size: size}
	fmt.Fprintf(out, "%d CPUs, %s, medians of %d interleaved rounds, databases in %s\n", runtime.NumCPU(), runtime.Version(), size.Rounds, on.Dir)
	if err := e.prepare(ctx); err != nil {
		return err
	}
	if err := e.copies(ctx, out, e.copyArms(on.Dir)); err != nil {
		return err
	}
	var followers []*follower
	for i, workers := range []int{4, 1} {
		f, err := e.job(ctx, servers[1+i], workers)
		if err != nil {
			return err
		}
		followers = append(followers, f)
	}
	for i, threads := range []int{4, 2, 0} {
		f, err := e.replica(ctx, servers[3+i], threads)
		if err != nil {
			return err
		}
		followers = append(followers, f)
	}
	if err := e.catchUps(ctx, out, followers); err != nil {
		return err
	}
	if err := e.lags(ctx, out, []*follower{followers[0], followers[4]}); err != nil {
		return err
	}
	mib, err := peak()
	fmt.Fprintf(out, "\nPeak memory of opsdeck, all services in one process, and the benchmark: %d MiB.\n", mib)
	return err
}

// startServers starts servers of the same settings. The returned function ends those that were started.
func startServers(ctx context.Context, on *stage.Stage, n int) (all []*mariadb.Server, kill func(), err error) {
	kill = func() {
		for _, server := range all {
			_ = server.Kill() // its files are thrown away
		}
	}
	for i := range n {
		server, err := mariadb.Start(ctx, mariadb.Options{Dir: filepath.Join(on.Dir, fmt.Sprintf("db%d", i)), ServerID: uint32(i + 1), Args: []string{
			"--innodb-buffer-pool-size=1G", "--innodb-log-file-size=512M", "--innodb-flush-log-at-trx-commit=1", "--sync-binlog=1", "--log-slave-updates",
		}})
		if err != nil {
			return all, kill, err
		}
		all = append(all, server)
	}
	return all, kill, nil
}

// copyArms are all ways to copy; the last one is what the others are compared with.
func (e *engines) copyArms(dir string) []copyArm {
	arms := []copyArm{{arm{name: "opsdeck, job_stage_full"}, e.copyByJob}}
	for _, threads := range []int{2, 4} {
		arms = append(arms, copyArm{arm{name: fmt.Sprintf("mydumper, then myloader, %d threads", threads)}, func(ctx context.Context, _ int) error {
			return e.copyByMydumper(ctx, filepath.Join(dir, "dump"), threads)
		}})
	}
	return append(arms,
		copyArm{arm{name: "SELECT piped to LOAD DATA, 4 tables at a time"}, e.copyByLoadData},
		copyArm{arm{name: "mariadb-dump piped to mariadb"}, e.copyByDump})
}

func (e *engines) copyByMydumper(ctx context.Context, dir string, threads int) error {
	defer func() { _ = os.RemoveAll(dir) }() // its parent goes as well
	for _, program := range []struct {
		name   string
		server *mariadb.Server
		args   []string
	}{
		{"mydumper", e.source, []string{"--database=bench", "--outputdir=" + dir, "--rows=50000"}},
		{"myloader", e.target, []string{"--directory=" + dir}},
	} {
		s := program.server
		args := slices.Concat(program.args, []string{
			"--host=127.0.0.1", "--port=" + strconv.Itoa(int(s.Port())), "--user=" + s.User(), "--password=" + s.Password(), "--threads=" + strconv.Itoa(threads),
		})
		if text, err := exec.CommandContext(ctx, program.name, args...).CombinedOutput(); err != nil { //nolint:gosec // our own server's address
			return fmt.Errorf("%s: %w: %s", program.name, err, text)
		}
	}
	return nil
}

func (e *engines) copyByLoadData(ctx context.Context, _ int) error {
	if err := pipe(client(ctx, e.source, "mariadb-dump", "--no-data", "--databases", "bench"), client(ctx, e.target, "mariadb")); err != nil {
		return err
	}
	var group errgroup.Group
	group.SetLimit(writers)
	for i := range tableCount {
		group.Go(func() error {
			table := "bench.t" + strconv.Itoa(i)
			return pipe(client(ctx, e.source, "mariadb", "--batch", "--quick", "--skip-column-names", "--execute=SELECT * FROM "+table),
				client(ctx, e.target, "mariadb", "--local-infile", "--execute=LOAD DATA LOCAL INFILE '/dev/stdin' INTO TABLE "+table))
		})
	}
	return group.Wait()
}

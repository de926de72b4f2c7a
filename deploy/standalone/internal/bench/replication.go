package bench

import (
	"bytes"
	"context"
	"errors"
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

// RunCopy measures the full copy alone.
func RunCopy(ctx context.Context, out io.Writer, dir, address string, serve stage.Server, size Size) error {
	return stage.Run(ctx, dir, address, serve, func(ctx context.Context, on *stage.Stage) error {
		e, _, kill, err := startEngines(ctx, out, on, size, 2)
		defer kill()
		if err != nil {
			return err
		}
		return e.copies(ctx, out, e.copyArms(on.Dir))
	})
}

func measureReplication(ctx context.Context, out io.Writer, on *stage.Stage, size Size) error {
	e, servers, kill, err := startEngines(ctx, out, on, size, 6)
	defer kill()
	if err != nil {
		return err
	}
	if err := e.copies(ctx, out, e.copyArms(on.Dir)); err != nil {
		return err
	}
	followers, err := e.followers(ctx, servers[1:], []int{4, 1}, []int{4, 2, 0})
	if err != nil {
		return err
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

// RunLag measures only how far a job and MariaDB's own replica are behind their source, in a temporary directory below dir.
func RunLag(ctx context.Context, out io.Writer, dir, address string, serve stage.Server, size Size) error {
	return stage.Run(ctx, dir, address, serve, func(ctx context.Context, on *stage.Stage) error {
		e, servers, kill, err := startEngines(ctx, out, on, size, 3)
		defer kill()
		if err != nil {
			return err
		}
		followers, err := e.followers(ctx, servers[1:], []int{4}, []int{0})
		if err != nil {
			return err
		}
		return e.lags(ctx, out, followers)
	})
}

// startEngines starts n servers, of which the first is the source and has the rows. The returned function ends those that were started.
func startEngines(ctx context.Context, out io.Writer, on *stage.Stage, size Size, n int) (*engines, []*mariadb.Server, func(), error) {
	servers, kill, err := startServers(ctx, on, n)
	if err != nil {
		return nil, nil, kill, err
	}
	opsdeck, err := on.SignIn(ctx)
	if err != nil {
		return nil, nil, kill, err
	}
	fmt.Fprintf(out, "%d CPUs, %s, medians of %d interleaved rounds, databases in %s\n", runtime.NumCPU(), runtime.Version(), size.Rounds, on.Dir)
	e := &engines{opsdeck: opsdeck, source: servers[0], target: servers[1], size: size}
	return e, servers, kill, e.prepare(ctx)
}

// followers has servers follow the source: jobs with so many workers, then MariaDB's own replicas with so many threads.
func (e *engines) followers(ctx context.Context, servers []*mariadb.Server, workers, threads []int) ([]*follower, error) {
	var all []*follower
	for i, n := range workers {
		f, err := e.job(ctx, servers[i], n)
		if err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	for i, n := range threads {
		f, err := e.replica(ctx, servers[len(workers)+i], n)
		if err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return all, nil
}

// fillFactor is how full, in percent, the pages of keys are that are added to a table that has rows. Those of keys that grow row by row are about
// as full.
const fillFactor = "85"

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
			// Keys that are added to a table leave no room by default: its first changes then split pages, which purging merges again.
			"--innodb-fill-factor=" + fillFactor,
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
		{"myloader", e.target, []string{"--directory=" + dir, "--enable-binlog"}}, // by default it keeps the rows from the target's own replicas
	} {
		s := program.server
		args := slices.Concat(program.args, []string{
			"--host=127.0.0.1", "--port=" + strconv.Itoa(int(s.Port())), "--user=" + s.User(), "--password=" + s.Password(), "--threads=" + strconv.Itoa(threads),
		})
		if text, err := exec.CommandContext(ctx, program.name, args...).CombinedOutput(); err != nil { //nolint:gosec // our own server's address
			return failed(program.name, err, text)
		}
	}
	return nil
}

// errDeadlock says that the sessions of a peer's program have locked each other out, as those of myloader now and then do: its round has no
// result, which says nothing against the others.
var errDeadlock = errors.New("a deadlock of its own")

// failed is why a program has failed, by what it has printed.
func failed(program string, err error, text []byte) error {
	if bytes.Contains(text, []byte("Deadlock found")) {
		err = errDeadlock
	}
	return fmt.Errorf("%s: %w: %s", program, err, text)
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

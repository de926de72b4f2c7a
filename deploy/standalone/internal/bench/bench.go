package bench

import (
	"context"
	"fmt"
	"io"
	"runtime"

	"github.com/opsdeck/opsdeck/deploy/standalone/internal/stage"
)

// Run measures everything in a temporary directory below dir and writes the tables of docs/benchmarks.md.
func Run(ctx context.Context, out io.Writer, dir, address string, serve stage.Server) error {
	return stage.Run(ctx, dir, address, serve, func(ctx context.Context, on *stage.Stage) error { return measure(ctx, out, on) })
}

func measure(ctx context.Context, out io.Writer, on *stage.Stage) error {
	servers, kill, err := startServers(ctx, on, 3)
	defer kill()
	if err != nil {
		return err
	}
	opsdeck, err := on.SignIn(ctx)
	if err != nil {
		return err
	}
	e := &engines{opsdeck: opsdeck, source: servers[0], target: servers[1], size: Usual}
	fmt.Fprintf(out, "%d CPUs, %s, medians of %d interleaved rounds\n", runtime.NumCPU(), runtime.Version(), rounds)
	if err := e.prepare(ctx); err != nil {
		return err
	}
	err = e.copies(ctx, out, []copyArm{{arm{name: "opsdeck, job_stage_full"}, e.copyByJob}, {arm{name: "mariadb-dump piped to mariadb"}, e.copyByDump}})
	if err != nil {
		return err
	}
	ours, err := e.job(ctx, servers[1], writers)
	if err != nil {
		return err
	}
	peer, err := e.replica(ctx, servers[2], 0)
	if err != nil {
		return err
	}
	if err := e.catchUps(ctx, out, []*follower{ours, peer}); err != nil {
		return err
	}
	if err := ours.end(ctx); err != nil {
		return err
	}
	return requests(ctx, out, opsdeck, on)
}

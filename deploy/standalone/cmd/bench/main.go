// Command bench measures opsdeck beside its peers in one run and prints the tables of docs/benchmarks.md. The argument dns measures the
// dns service, no argument the rest.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"github.com/opsdeck/opsdeck/deploy/standalone"
	"github.com/opsdeck/opsdeck/deploy/standalone/internal/bench"
)

func main() {
	dir := flag.String("dir", "", "directory for the databases; a RAM disk takes the disk out of the comparison")
	addr := flag.String("addr", "127.0.0.1:8192", "address of the measured gateway")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	run := bench.Run
	if flag.Arg(0) == "dns" {
		run = bench.DNS
	}
	if err := run(ctx, os.Stdout, *dir, *addr, standalone.Private); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop was called
	}
}

// Command bench measures opsdeck beside its peers in one run and prints the tables of docs/benchmarks.md. Its argument names one part of it.
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
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: bench [flags] [engine | auth]; without a word, both")
		flag.PrintDefaults()
	}
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, flag.Arg(0), *dir, *addr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop was called
	}
}

func run(ctx context.Context, what, dir, addr string) error {
	switch what {
	case "engine":
		return bench.Run(ctx, os.Stdout, dir, addr, standalone.Private)
	case "auth":
		return bench.RunAuth(ctx, os.Stdout, dir, addr, standalone.Private)
	case "dns":
		return bench.DNS(ctx, os.Stdout, dir, addr, standalone.Private)
	case "":
		if err := bench.Run(ctx, os.Stdout, dir, addr, standalone.Private); err != nil {
			return err
		}
		if err := bench.RunAuth(ctx, os.Stdout, dir, addr, standalone.Private); err != nil {
			return err
		}
		return bench.DNS(ctx, os.Stdout, dir, addr, standalone.Private)
	}
	return fmt.Errorf("there is no benchmark %s, only engine, auth and dns", what)
}

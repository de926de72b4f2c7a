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
	size := bench.Usual
	flag.IntVar(&size.Rows, "rows", size.Rows, "of each of 8 tables, in replication")
	flag.IntVar(&size.Transactions, "transactions", size.Transactions, "of a backlog, in replication")
	flag.IntVar(&size.Rounds, "rounds", size.Rounds, "of each measurement, in replication and bulk")
	flag.DurationVar(&size.Lag, "lag", size.Lag, "how long each lag is measured, in replication")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(),
			"usage: bench [flags] [engine | auth | dns | replication | bulk | copy | lag]; without a word, the first three; bulk is a part of dns, copy and lag are parts of replication")
		flag.PrintDefaults()
	}
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, flag.Arg(0), *dir, *addr, size); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop was called
	}
}

func run(ctx context.Context, what, dir, addr string, size bench.Size) error {
	switch what {
	case "engine":
		return bench.Run(ctx, os.Stdout, dir, addr, standalone.Private)
	case "auth":
		return bench.RunAuth(ctx, os.Stdout, dir, addr, standalone.Private)
	case "dns":
		return bench.DNS(ctx, os.Stdout, dir, addr, standalone.Private)
	case "bulk":
		return bench.Bulk(ctx, os.Stdout, dir, addr, standalone.Private, size.Rounds)
	case "replication":
		return bench.RunReplication(ctx, os.Stdout, dir, addr, standalone.Private, size)
	case "copy":
		return bench.RunCopy(ctx, os.Stdout, dir, addr, standalone.Private, size)
	case "lag":
		return bench.RunLag(ctx, os.Stdout, dir, addr, standalone.Private, size)
	case "":
		if err := bench.Run(ctx, os.Stdout, dir, addr, standalone.Private); err != nil {
			return err
		}
		if err := bench.RunAuth(ctx, os.Stdout, dir, addr, standalone.Private); err != nil {
			return err
		}
		return bench.DNS(ctx, os.Stdout, dir, addr, standalone.Private)
	}
	return fmt.Errorf("there is no benchmark %s, only engine, auth, dns, replication, bulk, copy and lag", what)
}

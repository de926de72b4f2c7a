// Command opsdeck is all of opsdeck in one program.
package main

import (
	"context"
	"flag"
	"os"

	"github.com/opsdeck/opsdeck/deploy/standalone"
	"github.com/opsdeck/opsdeck/pkg/app"
)

func main() {
	app.Main("opsdeck", "the operations platform in one process",
		app.Command{Name: "standalone", Help: "run everything, with its data in --data DIR (default ./data), until told to stop", Run: serve},
		app.Command{Name: "demo", Help: "migrate a live database in front of your eyes and compare checksums", Run: demo},
		app.Group("opsdeck", "auth", "bring accounts back when nobody can sign in: auth help", standalone.AuthCommands(os.Stdin, os.Stdout)...),
		app.Command{Name: "config", Help: "print the configuration reference", Run: func(context.Context, []string) error { return standalone.WriteReference(os.Stdout) }},
	)
}

func serve(ctx context.Context, args []string) error {
	environment := standalone.Environment()
	flags := flag.NewFlagSet("standalone", flag.ContinueOnError)
	for name, setting := range map[string]string{"data": "OPSDECK_DATA", "addr": "OPSDECK_GATEWAY_ADDR"} {
		flags.Func(name, "sets "+setting, func(value string) error {
			environment[setting] = value
			return nil
		})
	}
	if err := parse(flags, args); err != nil {
		return err
	}
	return standalone.Start(ctx, environment)
}

func demo(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:8190", "address to serve the demo's API at")
	if err := parse(flags, args); err != nil {
		return err
	}
	return standalone.Demo(ctx, os.Stdout, *addr)
}

// parse refuses what stands behind the flags.
func parse(flags *flag.FlagSet, args []string) error {
	if err := flags.Parse(args); err != nil {
		return err
	}
	return app.NoArguments(flags.Args())
}

// Command opsdeck is all of opsdeck in one program, and what an operator works with at the terminal.
package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/opsdeck/opsdeck/deploy/standalone"
	"github.com/opsdeck/opsdeck/pkg/app"
)

func main() {
	commands := []*cobra.Command{
		serve(), demo(), reference(),
		app.Group("auth", "Bring accounts back when nobody can sign in", standalone.AuthCommands()...),
	}
	app.Main("opsdeck", "the operations platform: run it in one process, and work with one that runs", append(commands, standalone.ClientCommands()...)...)
}

func serve() *cobra.Command {
	environment := standalone.Environment()
	c := &cobra.Command{Use: "standalone", Short: "Run everything, until told to stop", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
		return standalone.Start(c.Context(), environment)
	}}
	for name, setting := range map[string]string{"data": "OPSDECK_DATA", "addr": "OPSDECK_GATEWAY_ADDR"} {
		c.Flags().Func(name, "sets "+setting, func(value string) error {
			environment[setting] = value
			return nil
		})
	}
	return c
}

func demo() *cobra.Command {
	c := &cobra.Command{Use: "demo", Short: "Migrate a live database in front of your eyes and compare checksums", Args: cobra.NoArgs}
	addr := c.Flags().String("addr", "127.0.0.1:8190", "address to serve the demo's API at")
	c.RunE = func(c *cobra.Command, _ []string) error { return standalone.Demo(c.Context(), os.Stdout, *addr) }
	return c
}

func reference() *cobra.Command {
	return &cobra.Command{Use: "config", Short: "Print the configuration reference", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
		return standalone.WriteReference(c.OutOrStdout())
	}}
}

package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// The codes that programs exit with.
const (
	exitFailed = 1
	exitUsage  = 2
)

// Exit is an error that says which code the program exits with. Without Err nothing is printed: all is said already.
type Exit struct {
	Code int
	Err  error
}

// Error implements error.
func (e *Exit) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit code %d", e.Code)
	}
	return e.Err.Error()
}

// Unwrap returns the error that is printed.
func (e *Exit) Unwrap() error { return e.Err }

// Misused is the error of a command line that cannot be carried out as it stands.
func Misused(format string, args ...any) error {
	return &Exit{Code: exitUsage, Err: fmt.Errorf(format, args...)}
}

// Group returns a command that is several.
func Group(name, short string, commands ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{
		Use: name, Short: short, Args: known, SuggestionsMinimumDistance: 2,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	g.AddCommand(commands...)
	return g
}

// known refuses the arguments of a group: each is a misspelt command.
func known(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	meant := ""
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		meant = ", did you mean " + strings.Join(near, " or ") + "?"
	}
	return fmt.Errorf("unknown command %q for %q%s", args[0], c.CommandPath(), meant)
}

// Main runs the command that the arguments name, "serve" if they name none, and exits: 0 when it went well, 2 when the command line is
// wrong, otherwise with the code of the error (Exit) or 1. SIGINT and SIGTERM end the context; a second signal kills.
func Main(program, about string, commands ...*cobra.Command) {
	os.Exit(run(root(program, about, commands...)))
}

// root returns the command that a program is.
func root(program, about string, commands ...*cobra.Command) *cobra.Command {
	r := &cobra.Command{Use: program, Short: about, SilenceUsage: true, SilenceErrors: true}
	r.AddCommand(commands...)
	r.AddCommand(&cobra.Command{Use: "version", Short: "Print the version", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
		_, err := fmt.Fprintln(c.OutOrStdout(), program, Version)
		return err
	}})
	if i := slices.IndexFunc(commands, func(c *cobra.Command) bool { return c.Name() == "serve" }); i >= 0 {
		r.RunE = commands[i].RunE
	}
	return r
}

func run(r *cobra.Command) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	began := false
	r.PersistentPreRunE = func(c *cobra.Command, _ []string) error {
		if err := errors.Join(c.ValidateRequiredFlags(), c.ValidateFlagGroups()); err != nil { // cobra would do it too late for us
			return err
		}
		began = true
		return nil
	}
	c, err := r.ExecuteContextC(ctx)
	var exit *Exit
	switch told := ctx.Err() != nil && errors.Is(err, context.Canceled); {
	case err == nil:
		return 0
	case errors.As(err, &exit):
	case told:
		return 0
	case began:
		exit = &Exit{exitFailed, err}
	default:
		exit = &Exit{exitUsage, err} // what was wrong before it began is the command line
	}
	if exit.Err != nil {
		fmt.Fprintf(r.ErrOrStderr(), "%s: %v\n", c.CommandPath(), err)
	}
	if exit.Code == exitUsage {
		fmt.Fprintf(r.ErrOrStderr(), "%s --help says more\n", c.CommandPath())
	}
	return exit.Code
}

// Serve returns the command that runs a service alone in its process.
func Serve[C any](service string, serve func(ctx context.Context, rt *Runtime, cfg C) error) *cobra.Command {
	return &cobra.Command{Use: "serve", Short: "Run the service until it is told to stop", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
		process, err := Load[ProcessConfig]()
		if err != nil {
			return err
		}
		cfg, err := Load[C]()
		if err != nil {
			return err
		}
		return Process(c.Context(), process, service, func(ctx context.Context, rt *Runtime) error { return serve(ctx, rt.For(service), cfg) })
	}}
}

// Migrate returns the command that brings a service's schema up to date.
func Migrate[C any](migrate func(ctx context.Context, cfg C) error) *cobra.Command {
	return &cobra.Command{Use: "migrate", Short: "Bring the schema up to date and exit", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
		cfg, err := Load[C]()
		if err != nil {
			return err
		}
		return migrate(c.Context(), cfg)
	}}
}

// Config returns the command that prints the configuration reference.
func Config[C any]() *cobra.Command {
	return &cobra.Command{Use: "config", Short: "Print all settings", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
		var process ProcessConfig
		var cfg C
		return WriteReference(c.OutOrStdout(), append(Settings(process), Settings(cfg)...))
	}}
}

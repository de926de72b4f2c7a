// Package app is the frame of every process: commands, configuration, log, metrics, traces, signals and the admin port.
package app

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"go.uber.org/zap"
)

// Command is something a program can be told to do. Its name is the first argument; "serve" is the default.
type Command struct {
	Name string
	Help string
	// Run does it. args are the arguments behind the name.
	Run func(ctx context.Context, args []string) error

	group []Command // that the first argument chooses from
}

// Group returns a command that is several: the argument behind its name says which.
func Group(program, name, help string, commands ...Command) Command {
	return Command{Name: name, Help: help, group: commands, Run: func(ctx context.Context, args []string) error {
		if len(args) == 0 {
			args = []string{"help"}
		}
		i := slices.IndexFunc(commands, func(c Command) bool { return c.Name == args[0] })
		if i >= 0 {
			return commands[i].Run(ctx, args[1:])
		}
		if usage(program+" "+name, help, args[0], os.Stdout, commands) != 0 {
			return fmt.Errorf("there is no command %q", args[0])
		}
		return nil
	}}
}

// Main runs the command that the arguments name and exits: 0 when it went well, 1 when it failed, 2 when there is no such
// command. SIGINT and SIGTERM end the context; a second signal kills.
func Main(program, about string, commands ...Command) {
	os.Exit(run(program, about, os.Args[1:], os.Stdout, commands))
}

func run(program, about string, args []string, out io.Writer, commands []Command) int {
	commands = append(commands, Command{Name: "version", Help: "print the version", Run: func(context.Context, []string) error {
		_, err := fmt.Fprintln(out, program, Version)
		return err
	}})
	commands = append(commands, completion(program, out, commands))
	name, rest := "serve", args
	if len(args) > 0 {
		name, rest = args[0], args[1:]
	} else if !slices.ContainsFunc(commands, func(c Command) bool { return c.Name == name }) {
		name = "help"
	}
	i := slices.IndexFunc(commands, func(c Command) bool { return c.Name == name })
	if i < 0 {
		return usage(program, about, name, out, commands)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	err := commands[i].Run(ctx, rest)
	if errors.Is(err, flag.ErrHelp) {
		return 0 // the flags have printed it
	}
	if told := ctx.Err() != nil && errors.Is(err, context.Canceled); err != nil && !told {
		fmt.Fprintf(os.Stderr, "%s %s: %v\n", program, name, err)
		return 1
	}
	return 0
}

// completion returns the command that prints what makes bash complete the names of the commands.
func completion(program string, out io.Writer, commands []Command) Command {
	return Command{Name: "completion", Help: "print bash completion: source <(" + program + " completion)", Run: func(context.Context, []string) error {
		all := append([]Command{{Name: "help"}, {Name: "completion"}}, commands...)
		groups := slices.DeleteFunc(slices.Clone(commands), func(c Command) bool { return c.group == nil })
		if len(groups) == 0 {
			_, err := fmt.Fprintf(out, "complete -W '%s' %s\n", names(all), program)
			return err
		}
		text := fmt.Sprintf("_%s() {\n  local words=\n  case $COMP_CWORD in\n  1) words='%s' ;;\n  2) case ${COMP_WORDS[1]} in\n", program, names(all))
		for _, g := range groups {
			text += fmt.Sprintf("     %s) words='%s' ;;\n", g.Name, names(append([]Command{{Name: "help"}}, g.group...)))
		}
		text += "     esac ;;\n  esac\n  COMPREPLY=($(compgen -W \"$words\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n}\n"
		_, err := fmt.Fprintf(out, "%scomplete -o default -F _%s %s\n", text, program, program)
		return err
	}}
}

func names(commands []Command) string {
	all := make([]string, len(commands))
	for i, c := range commands {
		all[i] = c.Name
	}
	return strings.Join(all, " ")
}

func usage(program, about, name string, out io.Writer, commands []Command) int {
	asked := slices.Contains([]string{"help", "-h", "-help", "--help"}, name)
	code := 2
	if asked {
		code = 0
	} else {
		fmt.Fprintf(os.Stderr, "%s: there is no command %q\n\n", program, name)
		out = os.Stderr
	}
	fmt.Fprintf(out, "%s: %s\n\nusage: %s [COMMAND]\n\n", program, about, program)
	for _, c := range commands {
		fmt.Fprintf(out, "  %-14s %s\n", c.Name, c.Help)
	}
	return code
}

// Serve returns the command that runs a service alone in its process.
func Serve[C any](service string, serve func(ctx context.Context, rt *Runtime, cfg C) error) Command {
	return Command{Name: "serve", Help: "run the service until it is told to stop", Run: func(ctx context.Context, args []string) error {
		if err := NoArguments(args); err != nil {
			return err
		}
		process, err := Load[ProcessConfig]()
		if err != nil {
			return err
		}
		cfg, err := Load[C]()
		if err != nil {
			return err
		}
		return Process(ctx, process, service, func(ctx context.Context, rt *Runtime) error { return serve(ctx, rt.For(service), cfg) })
	}}
}

// NoArguments refuses arguments where there are none to give: to pass over a misspelt setting would be to run with another.
func NoArguments(args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("there is no argument %q", args[0])
	}
	return nil
}

// Process runs body with a runtime, the admin port and traces around it, until body returns.
func Process(ctx context.Context, cfg ProcessConfig, name string, body func(ctx context.Context, rt *Runtime) error) error {
	rt, registry, err := NewRuntime(cfg)
	if err != nil {
		return err
	}
	spare()
	defer func() { _ = rt.Log.Sync() }() // standard error cannot be synced on every system
	flush, err := startTraces(ctx, name)
	if err != nil {
		return err
	}
	defer flush()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	admin, err := startAdmin(ctx, cfg.AdminAddr, rt, registry)
	if err != nil {
		return err
	}
	defer admin()
	rt.Log.Info("starting", zap.String("program", name), zap.String("version", Version))
	err = body(ctx, rt)
	rt.Log.Info("stopped", zap.Error(err))
	return err
}

// Migrate returns the command that brings a service's schema up to date.
func Migrate[C any](migrate func(ctx context.Context, cfg C) error) Command {
	return Command{Name: "migrate", Help: "bring the schema up to date and exit", Run: func(ctx context.Context, args []string) error {
		if err := NoArguments(args); err != nil {
			return err
		}
		cfg, err := Load[C]()
		if err != nil {
			return err
		}
		return migrate(ctx, cfg)
	}}
}

// Config returns the command that prints the configuration reference.
func Config[C any]() Command {
	return Command{Name: "config", Help: "print all settings", Run: func(context.Context, []string) error {
		var process ProcessConfig
		var cfg C
		return WriteReference(os.Stdout, append(Settings(process), Settings(cfg)...))
	}}
}

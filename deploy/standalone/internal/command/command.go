// Package command is what an operator types to work with a running opsdeck.
package command

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/opsdeck/opsdeck/pkg/app"
	"github.com/opsdeck/opsdeck/pkg/secret"

	"github.com/opsdeck/opsdeck/deploy/standalone/internal/client"
	"github.com/opsdeck/opsdeck/deploy/standalone/internal/session"
)

// The codes that these commands exit with, besides 0 (done) and 2 (the command line is wrong).
const (
	exitNo          = 1   // the answer is no: rows differ, or the job would not run
	exitFailed      = 3   // opsdeck did not do it, or something on this machine failed
	exitSignIn      = 4   // nobody is signed in, or no longer
	exitUnavailable = 5   // opsdeck did not answer, or has no time: try again later
	exitInterrupted = 130 // by ^C, as shells have it
)

// Config is what these commands can be told by their environment.
type Config struct {
	Server string      `env:"OPSDECK_SERVER" help:"Address of the opsdeck to work with, for instance https://opsdeck.example.com. Default: the one that opsdeck login signed in to."`
	Token  secret.Text `env:"OPSDECK_TOKEN" help:"API token to show instead of a sign-in, for scripts. Wants OPSDECK_SERVER."`
	Plain  bool        `env:"OPSDECK_ALLOW_PLAIN_HTTP" envDefault:"false" help:"Send passwords and tokens over plain HTTP also to other machines, where everybody on the way can read them."`
}

// Commands returns the commands.
func Commands() []*cobra.Command { return []*cobra.Command{login(), logout(), job()} }

// sessions returns where the sign-in is kept.
func sessions() (session.Store, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return session.Store{}, fmt.Errorf("where to keep the sign-in: %w", err)
	}
	return session.Store{Dir: filepath.Join(dir, "opsdeck"), Now: time.Now}, nil
}

// dial returns a client of the opsdeck that the environment names or that somebody is signed in to. What was given by one server is
// never shown to another.
func dial() (*client.Client, error) {
	cfg, err := app.Load[Config]()
	if err != nil {
		return nil, app.Misused("%w", err)
	}
	if cfg.Token != "" {
		if cfg.Server == "" {
			return nil, app.Misused("OPSDECK_TOKEN is set without OPSDECK_SERVER: say which opsdeck the token is for")
		}
		server, err := client.ParseServer(cfg.Server, cfg.Plain)
		if err != nil {
			return nil, app.Misused("OPSDECK_SERVER: %w", err)
		}
		return client.New(server, func(context.Context) (string, error) { return string(cfg.Token), nil }), nil
	}
	store, err := sessions()
	if err != nil {
		return nil, err
	}
	kept, err := store.Load()
	if err != nil {
		return nil, err
	}
	if named := strings.TrimRight(cfg.Server, "/"); named != "" && named != kept.Server {
		return nil, fmt.Errorf("%w to %s, but to %s", session.ErrNone, named, kept.Server)
	}
	server, err := client.ParseServer(kept.Server, kept.Plain || cfg.Plain)
	if err != nil {
		return nil, err
	}
	return client.New(server, store.Token), nil
}

// calling returns what a command runs that calls opsdeck.
func calling(do func(c *cobra.Command, api *client.Client, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		api, err := dial()
		if err == nil {
			err = do(c, api, args)
		}
		return exit(err)
	}
}

// exit gives an error its code.
func exit(err error) error {
	var coded *app.Exit
	var refused *client.Refused
	var unreachable *client.Unreachable
	code := exitFailed
	switch {
	case err == nil || errors.As(err, &coded):
		return err
	case errors.Is(err, context.Canceled):
		return &app.Exit{Code: exitInterrupted}
	case errors.Is(err, session.ErrNone):
		return &app.Exit{Code: exitSignIn, Err: fmt.Errorf("%w: opsdeck login, or for scripts OPSDECK_SERVER and OPSDECK_TOKEN", err)}
	case errors.As(err, &unreachable):
		code = exitUnavailable
	case errors.As(err, &refused) && refused.Status == http.StatusUnauthorized:
		code = exitSignIn
	case errors.As(err, &refused) && passes(refused):
		code = exitUnavailable
	}
	return &app.Exit{Code: code, Err: err}
}

// passes reports whether a refusal may be over by itself.
func passes(r *client.Refused) bool {
	switch r.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

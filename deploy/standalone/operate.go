package standalone

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/opsdeck/opsdeck/deploy/standalone/internal/command"
	"github.com/opsdeck/opsdeck/deploy/standalone/internal/datadir"
	"github.com/opsdeck/opsdeck/pkg/app"
	"github.com/opsdeck/opsdeck/pkg/pg/cluster"
	"github.com/opsdeck/opsdeck/services/auth"
)

// ClientCommands are what an operator works with a running opsdeck with.
func ClientCommands() []*cobra.Command { return command.Commands() }

// AuthCommands are what an operator can do to the accounts in a data directory, whether a standalone runs on it or not.
func AuthCommands() []*cobra.Command {
	return auth.Commands(func(flags *pflag.FlagSet) func(context.Context) (auth.Config, func() error, error) {
		environment := Environment()
		data := "./data"
		if set := environment["OPSDECK_DATA"]; set != "" {
			data = set
		}
		flags.StringVar(&data, "data", data, "data directory `DIR`")
		return func(ctx context.Context) (auth.Config, func() error, error) { return authOf(ctx, data, environment) }
	})
}

// authOf returns the settings of auth in a data directory. When no standalone runs on it, the database runs until done is called.
func authOf(ctx context.Context, data string, environment map[string]string) (cfg auth.Config, done func() error, err error) {
	if _, err := os.Stat(filepath.Join(data, "secrets")); err != nil {
		return cfg, nil, fmt.Errorf("%s is no data directory of opsdeck: name it with --data, and start opsdeck on it once: %w", data, err)
	}
	dir, err := datadir.Open(data)
	if errors.Is(err, datadir.ErrHeld) {
		cfg, err = app.LoadFrom[auth.Config](beside(data, environment))
		return cfg, func() error { return nil }, err
	}
	if err != nil {
		return cfg, nil, err
	}
	database, err := cluster.Start(ctx, cluster.Config{Dir: dir.Path("postgres"), Fsync: true})
	if err != nil {
		return cfg, nil, errors.Join(err, dir.Close())
	}
	done = func() error { return errors.Join(inTime(ctx, database.Stop), dir.Close()) }
	wired, err := wire(ctx, dir, database, "", environment)
	if err == nil {
		cfg, err = app.LoadFrom[auth.Config](wired)
	}
	if err == nil {
		err = auth.Migrate(ctx, cfg)
	}
	if err != nil {
		return cfg, nil, errors.Join(err, done())
	}
	return cfg, done, nil
}

// beside returns the environment of a process beside the one that holds the directory, which has written down how to reach its
// database.
func beside(data string, environment map[string]string) map[string]string {
	wired := maps.Clone(environment)
	secrets := filepath.Join(data, "secrets")
	wired["OPSDECK_AUTH_GRPC_ADDR"] = "unix://" + filepath.Join(data, "run", "auth")
	wired["OPSDECK_AUTH_DATABASE_URL_FILE"] = filepath.Join(secrets, "database.auth")
	wired["OPSDECK_AUTH_SEAL_KEYS"] = filepath.Join(secrets, "seal.keys")
	return wired
}

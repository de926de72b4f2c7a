package auth

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.uber.org/zap"
	"golang.org/x/term"

	"github.com/opsdeck/opsdeck/pkg/app"
	"github.com/opsdeck/opsdeck/pkg/jobs"
	"github.com/opsdeck/opsdeck/pkg/pg"
	"github.com/opsdeck/opsdeck/pkg/secret"

	"github.com/opsdeck/opsdeck/services/auth/internal/change"
	"github.com/opsdeck/opsdeck/services/auth/internal/migrations"
	"github.com/opsdeck/opsdeck/services/auth/internal/operator"
	"github.com/opsdeck/opsdeck/services/auth/internal/password"
	"github.com/opsdeck/opsdeck/services/auth/internal/signing"
)

// maxSecret bounds what is read as a password, in bytes.
const maxSecret = 4096

// Settings finds the settings of the auth service for a command, and adds the flags that it needs for that. done is called when the
// command has ended.
type Settings func(flags *pflag.FlagSet) (load func(ctx context.Context) (cfg Config, done func() error, err error))

// FromEnvironment are the settings of the auth service's own process.
func FromEnvironment(*pflag.FlagSet) func(context.Context) (Config, func() error, error) {
	return func(context.Context) (Config, func() error, error) {
		cfg, err := app.Load[Config]()
		return cfg, func() error { return nil }, err
	}
}

// Commands returns what an operator can do to accounts, on the database, whether the service runs or not. Passwords are read from a
// file or from standard input: what stands in arguments stands in the list of processes.
func Commands(settings Settings) []*cobra.Command {
	return []*cobra.Command{
		withPassword(settings, "create-admin", "Make a user with the role admin", createAdmin),
		withPassword(settings, "reset-password", "Set a password, unlock the account and end its sessions", resetPassword),
		withAccount(settings, "unlock", "Take the lock of wrong logins off an account", unlock),
		withAccount(settings, "disable-totp", "Take the second factor off a user", disableTOTP),
		rotateKeys(settings),
	}
}

func createAdmin(ctx context.Context, o operator.Operator, a operator.Account, secret string) (string, error) {
	return fmt.Sprintf("created %s with the role admin", a), o.CreateAdmin(ctx, a, secret)
}

func resetPassword(ctx context.Context, o operator.Operator, a operator.Account, secret string) (string, error) {
	return fmt.Sprintf("set the password of %s and ended his sessions", a), o.ResetPassword(ctx, a, secret)
}

func unlock(ctx context.Context, o operator.Operator, a operator.Account) (string, error) {
	was, err := o.Unlock(ctx, a)
	if !was {
		return fmt.Sprintf("%s was not locked", a), err
	}
	return fmt.Sprintf("unlocked %s", a), err
}

func disableTOTP(ctx context.Context, o operator.Operator, a operator.Account) (string, error) {
	had, err := o.DisableTOTP(ctx, a)
	if !had {
		return fmt.Sprintf("%s has no second factor", a), err
	}
	return fmt.Sprintf("took the second factor off %s", a), err
}

func rotateKeys(settings Settings) *cobra.Command {
	c := &cobra.Command{Use: "rotate-keys", Short: "Replace the keys that tokens are signed with", Args: cobra.NoArgs}
	atOnce := c.Flags().Bool("at-once", false, "the old keys may be in wrong hands: end them, and all sessions, now")
	return onDatabase(settings, c, func(ctx context.Context, o operator.Operator, _ []string) (string, error) {
		id, err := o.RotateKeys(ctx, *atOnce)
		if *atOnce {
			return fmt.Sprintf("key %s signs from now on; everybody must sign in again", id), err
		}
		return fmt.Sprintf("key %s signs in ten minutes; tokens signed before stay good until they expire", id), err
	})
}

// withAccount returns a command that does something to the account that its argument names.
func withAccount(settings Settings, name, short string, do func(ctx context.Context, o operator.Operator, a operator.Account) (string, error)) *cobra.Command {
	c := &cobra.Command{Use: name + " TENANT:USER", Short: short, Args: cobra.ExactArgs(1)}
	return onDatabase(settings, c, func(ctx context.Context, o operator.Operator, args []string) (string, error) {
		a, err := operator.ParseAccount(args[0])
		if err != nil {
			return "", err
		}
		return do(ctx, o, a)
	})
}

// withPassword returns a command that needs a password, too.
func withPassword(settings Settings, name, short string, do func(ctx context.Context, o operator.Operator, a operator.Account, secret string) (string, error)) *cobra.Command {
	var file *string
	var c *cobra.Command
	c = withAccount(settings, name, short, func(ctx context.Context, o operator.Operator, a operator.Account) (string, error) {
		secret, err := readPassword(c.InOrStdin(), *file)
		if err != nil {
			return "", err
		}
		return do(ctx, o, a, secret)
	})
	file = c.Flags().String("password-file", "", "`FILE` with the password; without it, the first line of standard input")
	return c
}

// onDatabase has a command open the database, do what it is for, and print what it did.
func onDatabase(settings Settings, c *cobra.Command, do func(ctx context.Context, o operator.Operator, args []string) (string, error)) *cobra.Command {
	load := settings(c.Flags())
	c.RunE = func(c *cobra.Command, args []string) (err error) {
		cfg, done, err := load(c.Context())
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, done()) }()
		return withOperator(c.Context(), cfg, func(o operator.Operator) error {
			said, err := do(c.Context(), o, args)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), said)
			return err
		})
	}
	return c
}

func withOperator(ctx context.Context, cfg Config, do func(operator.Operator) error) error {
	pool, err := pg.Open(ctx, cfg.DatabaseURL, pg.Options{Application: "opsdeck-auth-operator", MaxConns: 2})
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := pg.Migrated(ctx, pool, name, migrations.FS); err != nil {
		return err
	}
	sealer, err := secret.Load(cfg.SealKeys)
	if err != nil {
		return fmt.Errorf("SEAL_KEYS: %w", err)
	}
	queue, err := jobs.New(pool, name, nil, zap.NewNop(), jobs.Options{})
	if err != nil {
		return err
	}
	o := operator.Operator{Changes: change.Changer{Pool: pool, Queue: queue, Now: time.Now}, Policy: cfg.Policy}
	if o.Passwords, err = password.New(cfg.Password, 1, cfg.PasswordWait); err != nil {
		return err
	}
	if o.Keys, err = signing.New(pool, sealer, cfg.SigningKeyAge, time.Now); err != nil {
		return err
	}
	return do(o)
}

// readPassword asks at a terminal, without showing what is typed.
func readPassword(in io.Reader, path string) (string, error) {
	if path != "" {
		text, err := os.ReadFile(path) //nolint:gosec // the operator's own choice
		if err != nil {
			return "", fmt.Errorf("password: %w", err)
		}
		return strings.TrimRight(string(text), "\r\n"), nil
	}
	if f, ok := in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		fmt.Fprint(os.Stderr, "Password: ")
		text, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(os.Stderr)
		return string(text), err
	}
	line, err := bufio.NewReader(io.LimitReader(in, maxSecret)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("password: %w", err)
	}
	return strings.TrimRight(line, "\r\n"), nil
}

package auth

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

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
type Settings func(flags *flag.FlagSet) (load func(ctx context.Context) (cfg Config, done func() error, err error))

// FromEnvironment are the settings of the auth service's own process.
func FromEnvironment(*flag.FlagSet) func(context.Context) (Config, func() error, error) {
	return func(context.Context) (Config, func() error, error) {
		cfg, err := app.Load[Config]()
		return cfg, func() error { return nil }, err
	}
}

// Commands returns what an operator can do to accounts, on the database, whether the service runs or not. Passwords are read from a
// file or from standard input: what stands in arguments stands in the list of processes.
func Commands(settings Settings, in io.Reader, out io.Writer) []app.Command {
	c := commands{settings, in, out}
	return []app.Command{
		{Name: "create-admin", Help: "make a user with the role admin: create-admin [--password-file FILE] TENANT:USER", Run: c.createAdmin},
		{Name: "reset-password", Help: "set a password, unlock the account and end its sessions: reset-password [--password-file FILE] TENANT:USER", Run: c.resetPassword},
		{Name: "unlock", Help: "take the lock of wrong logins off an account: unlock TENANT:USER", Run: c.unlock},
		{Name: "disable-totp", Help: "take the second factor off a user: disable-totp TENANT:USER", Run: c.disableTOTP},
		{Name: "rotate-keys", Help: "replace the keys that tokens are signed with: rotate-keys [--at-once]", Run: c.rotateKeys},
	}
}

type commands struct {
	settings Settings
	in       io.Reader
	out      io.Writer
}

func (c commands) createAdmin(ctx context.Context, args []string) error {
	return c.withPassword(ctx, "create-admin", args, func(o operator.Operator, a operator.Account, secret string) error {
		if err := o.CreateAdmin(ctx, a, secret); err != nil {
			return err
		}
		return c.say("created %s with the role admin", a)
	})
}

func (c commands) resetPassword(ctx context.Context, args []string) error {
	return c.withPassword(ctx, "reset-password", args, func(o operator.Operator, a operator.Account, secret string) error {
		if err := o.ResetPassword(ctx, a, secret); err != nil {
			return err
		}
		return c.say("set the password of %s and ended his sessions", a)
	})
}

func (c commands) unlock(ctx context.Context, args []string) error {
	return c.withAccount(ctx, "unlock", args, func(o operator.Operator, a operator.Account) error {
		was, err := o.Unlock(ctx, a)
		if err != nil {
			return err
		}
		if !was {
			return c.say("%s was not locked", a)
		}
		return c.say("unlocked %s", a)
	})
}

func (c commands) disableTOTP(ctx context.Context, args []string) error {
	return c.withAccount(ctx, "disable-totp", args, func(o operator.Operator, a operator.Account) error {
		had, err := o.DisableTOTP(ctx, a)
		if err != nil {
			return err
		}
		if !had {
			return c.say("%s has no second factor", a)
		}
		return c.say("took the second factor off %s", a)
	})
}

func (c commands) rotateKeys(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("rotate-keys", flag.ContinueOnError)
	atOnce := flags.Bool("at-once", false, "the old keys may be in wrong hands: end them, and all sessions, now")
	return c.run(ctx, flags, args, 0, func(o operator.Operator, _ []string) error {
		id, err := o.RotateKeys(ctx, *atOnce)
		if err != nil {
			return err
		}
		if *atOnce {
			return c.say("key %s signs from now on; everybody must sign in again", id)
		}
		return c.say("key %s signs in ten minutes; tokens signed before stay good until they expire", id)
	})
}

func (c commands) withAccount(ctx context.Context, name string, args []string, do func(o operator.Operator, a operator.Account) error) error {
	return c.run(ctx, flag.NewFlagSet(name, flag.ContinueOnError), args, 1, func(o operator.Operator, rest []string) error {
		a, err := operator.ParseAccount(rest[0])
		if err != nil {
			return err
		}
		return do(o, a)
	})
}

func (c commands) withPassword(ctx context.Context, name string, args []string, do func(o operator.Operator, a operator.Account, secret string) error) error {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	file := flags.String("password-file", "", "`FILE` with the password; without it, the first line of standard input")
	return c.run(ctx, flags, args, 1, func(o operator.Operator, rest []string) error {
		a, err := operator.ParseAccount(rest[0])
		if err != nil {
			return err
		}
		secret, err := c.readPassword(*file)
		if err != nil {
			return err
		}
		return do(o, a, secret)
	})
}

// run reads the arguments, opens the database and does what the command is for.
func (c commands) run(ctx context.Context, flags *flag.FlagSet, args []string, wanted int, do func(o operator.Operator, rest []string) error) (err error) {
	load := c.settings(flags)
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != wanted {
		flags.Usage()
		return fmt.Errorf("there are %d arguments behind the flags, want %d", flags.NArg(), wanted)
	}
	cfg, done, err := load(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	return withOperator(ctx, cfg, func(o operator.Operator) error { return do(o, flags.Args()) })
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
func (c commands) readPassword(path string) (string, error) {
	if path != "" {
		text, err := os.ReadFile(path) //nolint:gosec // the operator's own choice
		if err != nil {
			return "", fmt.Errorf("password: %w", err)
		}
		return strings.TrimRight(string(text), "\r\n"), nil
	}
	if f, ok := c.in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		fmt.Fprint(os.Stderr, "Password: ")
		text, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(os.Stderr)
		return string(text), err
	}
	line, err := bufio.NewReader(io.LimitReader(c.in, maxSecret)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("password: %w", err)
	}
	return strings.TrimRight(line, "\r\n"), nil
}

func (c commands) say(format string, args ...any) error {
	_, err := fmt.Fprintf(c.out, format+"\n", args...)
	return err
}

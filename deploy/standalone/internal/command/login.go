package command

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/opsdeck/opsdeck/pkg/app"

	"github.com/opsdeck/opsdeck/deploy/standalone/internal/client"
	"github.com/opsdeck/opsdeck/deploy/standalone/internal/session"
	"github.com/opsdeck/opsdeck/deploy/standalone/internal/terminal"
)

// local is where opsdeck standalone serves.
const local = "http://127.0.0.1:8190"

// credentials is what login is told.
type credentials struct {
	server, user string
	stdin, code  bool
}

func login() *cobra.Command {
	var told credentials
	c := &cobra.Command{
		Use: "login", Short: "Sign in to a running opsdeck", Args: cobra.NoArgs,
		Long: `Sign in to a running opsdeck.

Name and password are asked for; the password is never an argument, which others on this machine could read. The sign-in is kept in
opsdeck/session.json below the directory for configuration ($XDG_CONFIG_HOME, or ~/.config), readable by you only, for 14 days or until
opsdeck logout. A certificate of a private authority is believed with SSL_CERT_FILE=FILE.

Scripts need no login: they set OPSDECK_SERVER and OPSDECK_TOKEN, an API token.`,
		Example: `  opsdeck login
  opsdeck login --server https://opsdeck.example.com --user shop:alice
  opsdeck login --user platform:admin --password-stdin < password-file`,
	}
	c.Flags().StringVar(&told.server, "server", "", "address of the opsdeck (default OPSDECK_SERVER, or "+local+")")
	c.Flags().StringVar(&told.user, "user", "", "who signs in, as `TENANT:NAME`; asked for if it is not given")
	c.Flags().BoolVar(&told.stdin, "password-stdin", false, "read the password from the first line of standard input")
	c.Flags().BoolVar(&told.code, "totp", false, "ask for the code of the second factor, too; with --password-stdin it is the second line")
	c.RunE = func(c *cobra.Command, _ []string) error { return exit(signIn(c, told)) }
	return c
}

func signIn(c *cobra.Command, told credentials) error {
	cfg, err := app.Load[Config]()
	if err != nil {
		return app.Misused("%w", err)
	}
	for _, other := range []string{cfg.Server, local} {
		if told.server == "" {
			told.server = other
		}
	}
	server, err := client.ParseServer(told.server, cfg.Plain)
	if err != nil {
		return app.Misused("%w", err)
	}
	account, err := askAccount(c.Context(), c, told)
	if err != nil {
		return err
	}
	store, err := sessions()
	if err != nil {
		return err
	}
	err = store.Begin(c.Context(), server.String(), cfg.Plain, account)
	var refused *client.Refused
	if errors.As(err, &refused) && refused.Status == http.StatusUnauthorized && !told.code {
		return fmt.Errorf("%w (with a second factor: opsdeck login --totp)", err)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "signed in to %s as %s\n", server, terminal.Text(account.User))
	return err
}

// askAccount asks for what it was not told, at the terminal or on standard input.
func askAccount(ctx context.Context, c *cobra.Command, told credentials) (session.Account, error) {
	a := session.Account{User: told.user}
	in := c.InOrStdin()
	if told.stdin {
		if a.User == "" {
			return a, app.Misused("--password-stdin wants --user")
		}
		var errs [2]error
		a.Password, errs[0] = terminal.Line(in)
		if told.code {
			a.Code, errs[1] = terminal.Line(in)
		}
		return a, errors.Join(errs[:]...)
	}
	typed, ok := in.(*os.File)
	if !ok || !terminal.Is(in) {
		return a, app.Misused("standard input is no terminal, where a password could be asked for: use --user and --password-stdin")
	}
	var err error
	if a.User == "" {
		if a.User, err = terminal.Ask(ctx, in, c.ErrOrStderr(), "User (TENANT:NAME): "); err != nil {
			return a, err
		}
	}
	if a.Password, err = terminal.AskSecret(ctx, typed, c.ErrOrStderr(), "Password: "); err != nil || !told.code {
		return a, err
	}
	a.Code, err = terminal.Ask(ctx, in, c.ErrOrStderr(), "Code of the second factor: ")
	a.Code = strings.TrimSpace(a.Code)
	return a, err
}

func logout() *cobra.Command {
	return &cobra.Command{
		Use: "logout", Short: "End the sign-in, here and at the server", Args: cobra.NoArgs, Example: "  opsdeck logout",
		RunE: func(c *cobra.Command, _ []string) error {
			store, err := sessions()
			if err != nil {
				return exit(err)
			}
			ended, err := store.End(c.Context())
			if err != nil {
				return exit(err)
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "signed out of %s\n", ended.Server)
			return err
		},
	}
}

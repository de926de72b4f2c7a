package auth

import (
	"bytes"
	"context"
	"encoding/hex"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/bus"
	"github.com/opsdeck/opsdeck/pkg/rpc"

	"github.com/opsdeck/opsdeck/services/auth/mailtest"
	"github.com/opsdeck/opsdeck/services/auth/oidctest"
)

// buffer keeps what is logged.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) Sync() error { return nil }

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// secretRun is one run through everything that knows a secret, and what became of it.
type secretRun struct {
	*running
	smtp    *mailtest.Server
	secrets map[string]string // by what they are
	errors  strings.Builder
}

func (s *secretRun) keep(what, secret string) string {
	s.secrets[what] = secret
	return secret
}

// refused remembers the text of an error that must come.
func (s *secretRun) refused(t *testing.T, err error) {
	t.Helper()
	require.Error(t, err)
	s.errors.WriteString(err.Error() + "\n")
}

// Secrets are in no log, event, error or audit, and in no column of the database as they are.
func TestSecretsAreNowhere(t *testing.T) {
	var logs buffer
	s := &secretRun{smtp: mailtest.Start(t, false), secrets: map[string]string{}}
	log := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), &logs, zapcore.DebugLevel))
	s.running = startWith(t, map[string]string{
		"OPSDECK_AUTH_SMTP_ADDR": s.smtp.Addr, "OPSDECK_AUTH_SMTP_FROM": "opsdeck@example.org", "OPSDECK_AUTH_SMTP_USER": mailtest.User,
		"OPSDECK_AUTH_SMTP_PASSWORD_FILE": file(t, mailtest.Password), "OPSDECK_AUTH_SMTP_CA_FILE": s.smtp.CAFile,
		"OPSDECK_AUTH_PUBLIC_URL": "https://ops.example.org", "OPSDECK_AUTH_OIDC_PRIVATE_NETWORKS": "true",
	}, log)
	s.keep("password of the mail server", mailtest.Password)
	s.keep("first password", adminPassword)
	events := s.collect(t)
	token := s.signIn(t)
	s.changePassword(t, token)
	s.forgetPassword(t)
	s.secondFactor(t)
	s.provider(t)

	everything := map[string]string{"the log": logs.String(), "the errors": s.errors.String(), "the events": events(t), "the database": s.dump(t)}
	require.Contains(t, everything["the log"], `"msg":"call"`)
	require.Contains(t, everything["the events"], "opsdeck.auth.user.updated")
	require.Contains(t, everything["the database"], "password_resets")
	require.Greater(t, len(s.secrets), 10)
	for what, secret := range s.secrets {
		require.NotEmpty(t, secret, what)
		for place, text := range everything {
			require.NotContains(t, text, secret, "%s is in %s", what, place)
			require.NotContains(t, text, hex.EncodeToString([]byte(secret)), "%s is in %s", what, place)
			require.NotContains(t, text, url.QueryEscape(secret), "%s is in %s", what, place)
		}
	}
}

// collect subscribes to all events and returns what reads them.
func (s *secretRun) collect(t *testing.T) func(t *testing.T) string {
	t.Helper()
	var all buffer
	sub, err := s.nats.Subscribe(bus.Subjects, func(m *nats.Msg) { _, _ = all.Write(append(m.Data, '\n')) })
	require.NoError(t, err)
	return func(t *testing.T) string {
		t.Helper()
		pool := s.pool(t)
		require.Eventually(t, func() bool {
			var waiting int
			err := pool.QueryRow(t.Context(), `SELECT count(*) FROM auth.river_job WHERE kind = 'bus.publish' AND finalized_at IS NULL`).Scan(&waiting)
			return err == nil && waiting == 0
		}, time.Minute, 20*time.Millisecond)
		require.NoError(t, s.nats.Flush())
		require.NoError(t, sub.Drain())
		require.Eventually(t, func() bool { return !sub.IsValid() }, time.Minute, 10*time.Millisecond)
		return all.String()
	}
}

func as(t *testing.T, token string) context.Context {
	t.Helper()
	return rpc.WithCall(t.Context(), rpc.Call{}.WithToken(token))
}

func (s *secretRun) signIn(t *testing.T) string {
	t.Helper()
	_, err := s.login(t, s.keep("guessed password", "Guessed-password-1"))
	s.refused(t, err)
	token := s.token(t)
	s.keep("signature of a token", token[strings.LastIndexByte(token, '.')+1:])
	return token
}

func (s *secretRun) changePassword(t *testing.T, token string) {
	t.Helper()
	var id int64
	require.NoError(t, s.pool(t).QueryRow(t.Context(), `UPDATE auth.users SET email = 'admin@example.org' RETURNING id`).Scan(&id))
	recovery := authv1.NewRecoveryServiceClient(s.conn)
	request := &authv1.ChangePasswordRequest{
		Id: id, OriginalPassword: s.keep("wrong original password", "Original-password-1"), NewPassword: s.keep("second password", "Second-password-1"),
	}
	_, err := recovery.ChangePassword(as(t, token), request)
	s.refused(t, err)
	request.OriginalPassword = adminPassword
	_, err = recovery.ChangePassword(as(t, token), request)
	require.NoError(t, err)
}

var resetLink = regexp.MustCompile(`https://ops\.example\.org/reset-password#(\S+)`)

func (s *secretRun) forgetPassword(t *testing.T) {
	t.Helper()
	recovery := authv1.NewRecoveryServiceClient(s.conn)
	_, err := recovery.ForgetPassword(t.Context(), &authv1.ForgetPasswordRequest{Id: "admin", Email: "admin@example.org"})
	require.NoError(t, err)
	var link string
	require.Eventually(t, func() bool {
		for _, m := range s.smtp.Mails("admin@example.org") {
			if found := resetLink.FindStringSubmatch(m.Text); found != nil {
				link = found[1]
			}
		}
		return link != ""
	}, time.Minute, 20*time.Millisecond)
	s.keep("token of a link", link)
	_, err = recovery.ResetForgottenPassword(t.Context(), &authv1.ResetForgottenPasswordRequest{Token: link, NewPassword: "weak"})
	s.refused(t, err)
	request := &authv1.ResetForgottenPasswordRequest{Token: link, NewPassword: s.keep("third password", "Third-password-1")}
	_, err = recovery.ResetForgottenPassword(t.Context(), request)
	require.NoError(t, err)
	_, err = recovery.ResetForgottenPassword(t.Context(), request)
	s.refused(t, err)
}

func (s *secretRun) secondFactor(t *testing.T) {
	t.Helper()
	opened, err := s.login(t, "Third-password-1")
	require.NoError(t, err)
	factors, ctx := authv1.NewSecondFactorServiceClient(s.conn), as(t, opened.GetToken())
	enrolled, err := factors.EnrollTotp(ctx, &authv1.EnrollTotpRequest{Password: "Third-password-1"})
	require.NoError(t, err)
	s.keep("secret of the app", enrolled.GetSecret())
	_, err = factors.ConfirmTotp(ctx, &authv1.ConfirmTotpRequest{Totp: s.keep("wrong code", "wrong-code-1")})
	s.refused(t, err)
	code, err := totp.GenerateCode(enrolled.GetSecret(), time.Now())
	require.NoError(t, err)
	confirmed, err := factors.ConfirmTotp(ctx, &authv1.ConfirmTotpRequest{Totp: code})
	require.NoError(t, err)
	s.keep("first recovery code", confirmed.GetRecoveryCodes()[0])
	s.keep("second recovery code", confirmed.GetRecoveryCodes()[1])
	s.keep("second recovery code without a hyphen", strings.ReplaceAll(confirmed.GetRecoveryCodes()[1], "-", ""))
	_, err = factors.DisableTotp(ctx, &authv1.DisableTotpRequest{Password: "Third-password-1", Totp: confirmed.GetRecoveryCodes()[0]})
	require.NoError(t, err)
}

func (s *secretRun) provider(t *testing.T) {
	t.Helper()
	opened, err := s.login(t, "Third-password-1")
	require.NoError(t, err)
	providers := authv1.NewOidcServiceClient(s.conn)
	idp := oidctest.Start(t, "https://ops.example.org/v2/login/oidc/callback")
	_, err = providers.CreateOidcProvider(as(t, opened.GetToken()), &authv1.CreateOidcProviderRequest{
		Tenant: "platform", Name: "idp", Issuer: idp.Issuer, ClientId: oidctest.ClientID, ClientSecret: s.keep("client secret", oidctest.ClientSecret),
	})
	require.NoError(t, err)
	begun, err := providers.StartOidcLogin(t.Context(), &authv1.StartOidcLoginRequest{Tenant: "platform", Provider: "idp"})
	require.NoError(t, err)
	back := idp.SignIn(t, begun.GetUrl())
	_, err = providers.FinishOidcLogin(t.Context(), &authv1.FinishOidcLoginRequest{
		State: s.keep("state", back.Query().Get("state")), Code: s.keep("code of the provider", back.Query().Get("code")),
		BrowserSecret: s.keep("secret of the browser", begun.GetBrowserSecret()),
	})
	s.refused(t, err) // nobody is linked
}

// dump prints every row of every table of the service.
func (s *secretRun) dump(t *testing.T) string {
	t.Helper()
	pool := s.pool(t)
	rows, _ := pool.Query(t.Context(), `SELECT tablename FROM pg_catalog.pg_tables WHERE schemaname = 'auth' ORDER BY 1`) // the error comes again below
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	var all strings.Builder
	for _, table := range tables {
		all.WriteString(table + "\n")
		rows, _ := pool.Query(t.Context(), `SELECT r::text FROM `+pgx.Identifier{"auth", table}.Sanitize()+` AS r`) // likewise
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err, table)
		all.WriteString(strings.Join(lines, "\n") + "\n")
	}
	return all.String()
}

package mail

import (
	"errors"
	"net/textproto"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/auth/mailtest"
)

const reader = "reader@example.org"

func config(server *mailtest.Server) Config {
	return Config{
		Addr: server.Addr, From: "opsdeck <opsdeck@example.org>", User: mailtest.User, Password: mailtest.Password, TLS: startTLS, CAFile: server.CAFile,
	}
}

func send(t *testing.T, c Config, m Message) error {
	t.Helper()
	require.NoError(t, c.Validate())
	sender, err := NewSender(c)
	require.NoError(t, err)
	return sender.Send(t.Context(), m)
}

func TestSend(t *testing.T) {
	t.Parallel()
	for _, way := range []string{startTLS, implicit} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			server := mailtest.Start(t, way == implicit)
			c := config(server)
			c.TLS = way
			link := "https://ops.example.org/reset-password#" + "0123456789-0123456789_0123456789-0123456789"
			m, err := Link(reader, "dev:ann", link, 30*time.Minute)
			require.NoError(t, err)
			require.NoError(t, send(t, c, m))
			got := server.Mails(reader)
			require.Len(t, got, 1)
			require.Equal(t, "opsdeck@example.org", got[0].From)
			require.Equal(t, "opsdeck: 重置密码 / Reset your password", got[0].Subject)
			for _, part := range []string{link + "\r\n", "30 分钟", "within 30 minutes", "dev:ann"} {
				require.Contains(t, got[0].Text, part)
			}
		})
	}
}

func TestNotices(t *testing.T) {
	t.Parallel()
	for _, what := range []Change{PasswordChanged, SecondFactorEnabled, SecondFactorDisabled, RecoveryCodeUsed} {
		m, err := Notice(reader, "dev:ann", what, time.Unix(0, 0), "192.0.2.1")
		require.NoError(t, err)
		require.Contains(t, m.Text, "1970-01-01 00:00:00 UTC")
		require.Contains(t, m.Text, "192.0.2.1")
		require.Contains(t, m.Text, "dev:ann")
		m, err = Notice(reader, "dev:ann", what, time.Unix(0, 0), "")
		require.NoError(t, err)
		require.NotContains(t, m.Text, "From:")
	}
}

func TestSendDoesNotTrustAnybody(t *testing.T) {
	t.Parallel()
	server := mailtest.Start(t, false)
	for name, change := range map[string]func(*Config){
		"a certificate nobody vouches for": func(c *Config) { c.CAFile = "" },
		"a wrong password":                 func(c *Config) { c.Password = "wrong" },
		"plain text where TLS is expected": func(c *Config) { c.TLS = implicit },
		"nobody":                           func(c *Config) { c.User, c.Password = "", "" },
		"a server that is not there":       func(c *Config) { c.Addr = "127.0.0.1:1" },
	} {
		t.Run(name, func(t *testing.T) {
			c := config(server)
			change(&c)
			err := send(t, c, Message{To: reader, Subject: "s", Text: "t"})
			require.Error(t, err)
			require.NotContains(t, err.Error(), mailtest.Password)
			require.Empty(t, server.Mails(reader))
		})
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	server := mailtest.Start(t, false)
	c := config(server)
	server.Refuse(&smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 2}, Message: "later"})
	err := send(t, c, Message{To: reader})
	require.Error(t, err)
	require.False(t, errors.Is(err, ErrRefused), "%v", err)
	server.Refuse(&smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "nobody here"})
	require.ErrorIs(t, send(t, c, Message{To: reader}), ErrRefused)
	server.Refuse(nil)
	require.ErrorIs(t, send(t, c, Message{To: "no address"}), ErrRefused)
	require.ErrorIs(t, send(t, c, Message{To: "a@example.org\r\nBcc: b@example.org"}), ErrRefused)
	var protocol *textproto.Error
	require.False(t, errors.As(send(t, c, Message{To: reader}), &protocol))
}

func TestConfigIsRefused(t *testing.T) {
	t.Parallel()
	good := Config{Addr: "mail.example.org:587", From: "ops@example.org", TLS: startTLS}
	require.NoError(t, good.Validate())
	require.NoError(t, Config{}.Validate())
	require.False(t, Config{}.Enabled())
	for name, change := range map[string]func(*Config){
		"no port":             func(c *Config) { c.Addr = "mail.example.org" },
		"a named port":        func(c *Config) { c.Addr = "mail.example.org:smtp" },
		"no sender":           func(c *Config) { c.From = "" },
		"a user in the clear": func(c *Config) { c.TLS, c.User, c.Password = none, "u", "p" },
		"no password":         func(c *Config) { c.User = "u" },
		"an unknown way":      func(c *Config) { c.TLS = "ssl" },
	} {
		c := good
		change(&c)
		require.Error(t, c.Validate(), name)
	}
}

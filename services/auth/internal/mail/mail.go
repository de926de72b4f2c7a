// Package mail sends mails: enqueued in the transaction of what they tell of, sealed in the queue, and carried to an SMTP server.
package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"os"
	"strconv"
	"time"

	gomail "github.com/wneessen/go-mail"

	"github.com/opsdeck/opsdeck/pkg/secret"
)

// sendTimeout bounds every step of one try.
const sendTimeout = 20 * time.Second

// The ways in which a connection to the SMTP server is encrypted.
const (
	startTLS = "starttls" // from the second command on; a server that does not offer it is refused
	implicit = "implicit" // from the first byte on
	none     = "none"
)

// Config is where mails go.
type Config struct {
	Addr     string      `env:"ADDR" help:"SMTP server that mails are sent through, host:port. Without one no mail is sent: whoever forgot a password needs an administrator."`
	From     string      `env:"FROM" help:"Address that mails come from, for instance opsdeck <opsdeck@example.org>."`
	User     string      `env:"USER" help:"User to sign in to the SMTP server as; without one, nobody signs in."`
	Password secret.Text `env:"PASSWORD_FILE,file" help:"Password of that user."`
	TLS      string      `env:"TLS" envDefault:"starttls" help:"How the connection is encrypted: starttls, implicit, or none, which takes no user."`
	CAFile   string      `env:"CA_FILE" help:"Path of the certificates (PEM) that vouch for the SMTP server instead of the system's."`
}

// Enabled reports whether mails are sent at all.
func (c Config) Enabled() bool { return c.Addr != "" }

// Validate refuses settings that cannot send a mail.
func (c Config) Validate() error {
	if !c.Enabled() {
		return nil
	}
	if _, _, err := c.hostPort(); err != nil {
		return fmt.Errorf("ADDR is %q, want host:port", c.Addr)
	}
	if _, err := netmail.ParseAddress(c.From); err != nil {
		return fmt.Errorf("FROM is %q, want a mail address", c.From)
	}
	switch {
	case c.TLS != startTLS && c.TLS != implicit && c.TLS != none:
		return fmt.Errorf("TLS is %q, want %s, %s or %s", c.TLS, startTLS, implicit, none)
	case c.TLS == none && c.User != "":
		return fmt.Errorf("TLS is %q, and a USER would send his password in the clear", c.TLS)
	case c.User != "" && c.Password == "":
		return errors.New("USER is set, and PASSWORD_FILE is not")
	}
	return nil
}

func (c Config) hostPort() (host string, port int, err error) {
	host, text, err := net.SplitHostPort(c.Addr)
	if err != nil {
		return "", 0, err
	}
	port, err = strconv.Atoi(text)
	return host, port, err
}

// Message is a mail: plain text to one address.
type Message struct {
	To      string
	Subject string
	Text    string
}

// Sender sends mails through one SMTP server.
type Sender struct {
	from    string
	host    string
	options []gomail.Option
}

// NewSender returns a sender of valid settings that are enabled.
func NewSender(c Config) (*Sender, error) {
	host, port, err := c.hostPort()
	if err != nil {
		return nil, err
	}
	trust := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		if trust.RootCAs, err = readCertificates(c.CAFile); err != nil {
			return nil, err
		}
	}
	s := &Sender{from: c.From, host: host}
	s.options = []gomail.Option{gomail.WithPort(port), gomail.WithTimeout(sendTimeout), gomail.WithTLSConfig(trust)}
	switch c.TLS {
	case implicit:
		s.options = append(s.options, gomail.WithSSL())
	case none:
		s.options = append(s.options, gomail.WithTLSPolicy(gomail.NoTLS))
	default:
		s.options = append(s.options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if c.User != "" {
		s.options = append(s.options, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover),
			gomail.WithUsername(c.User), gomail.WithPassword(c.Password.Reveal()))
	}
	_, err = gomail.NewClient(host, s.options...)
	return s, err
}

func readCertificates(path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path) //nolint:gosec // the path is the operator's setting
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate", path)
	}
	return pool, nil
}

// ErrRefused is wrapped by errors that another try would meet again: the server has said no for good (5xx), or the address is none.
var ErrRefused = errors.New("refused for good")

// Send sends a mail and waits until the server has taken it. Each has a connection of its own: they are few.
func (s *Sender) Send(ctx context.Context, m Message) error {
	mail := gomail.NewMsg()
	if err := mail.From(s.from); err != nil {
		return fmt.Errorf("sender: %w", err)
	}
	if err := mail.To(m.To); err != nil {
		return fmt.Errorf("%w: the recipient is no mail address", ErrRefused)
	}
	mail.Subject(m.Subject)
	mail.SetMessageID()
	mail.SetDate()
	mail.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: nobody's holiday notice answers
	mail.SetBodyString(gomail.TypeTextPlain, m.Text)
	client, err := gomail.NewClient(s.host, s.options...)
	if err != nil {
		return err
	}
	err = client.DialAndSendWithContext(ctx, mail)
	var refusal *gomail.SendError
	if errors.As(err, &refusal) && !refusal.IsTemp() && refusal.ErrorCode() >= 500 {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return err
}

// Package auth is the service that says who is who: it keeps tenants, users and sessions, and signs the tokens that all
// other services trust.
package auth

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/riverqueue/river"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/app"
	"github.com/opsdeck/opsdeck/pkg/bus"
	"github.com/opsdeck/opsdeck/pkg/jobs"
	"github.com/opsdeck/opsdeck/pkg/pg"
	"github.com/opsdeck/opsdeck/pkg/rpc"
	"github.com/opsdeck/opsdeck/pkg/secret"

	"github.com/opsdeck/opsdeck/services/auth/internal/audit"
	"github.com/opsdeck/opsdeck/services/auth/internal/captcha"
	"github.com/opsdeck/opsdeck/services/auth/internal/change"
	"github.com/opsdeck/opsdeck/services/auth/internal/directory"
	"github.com/opsdeck/opsdeck/services/auth/internal/grant"
	"github.com/opsdeck/opsdeck/services/auth/internal/mail"
	"github.com/opsdeck/opsdeck/services/auth/internal/migrations"
	"github.com/opsdeck/opsdeck/services/auth/internal/oidc"
	"github.com/opsdeck/opsdeck/services/auth/internal/password"
	"github.com/opsdeck/opsdeck/services/auth/internal/recovery"
	"github.com/opsdeck/opsdeck/services/auth/internal/rights"
	"github.com/opsdeck/opsdeck/services/auth/internal/role"
	"github.com/opsdeck/opsdeck/services/auth/internal/session"
	"github.com/opsdeck/opsdeck/services/auth/internal/signing"
	"github.com/opsdeck/opsdeck/services/auth/internal/totp"
	"github.com/opsdeck/opsdeck/services/auth/internal/upkeep"
	"github.com/opsdeck/opsdeck/services/auth/internal/user"
)

// name is the service's name and that of its schema.
const name = "auth"

// Config is what the service can be told.
type Config struct {
	app.ServiceConfig `envPrefix:"OPSDECK_AUTH_"`

	Password            password.Params `envPrefix:"OPSDECK_AUTH_PASSWORD_"`
	Policy              password.Policy `envPrefix:"OPSDECK_AUTH_PASSWORD_"`
	PasswordsAtOnce     int             `env:"OPSDECK_AUTH_PASSWORDS_AT_ONCE" envDefault:"2" help:"How many passwords are hashed at the same time. Each takes one processor and the memory above."`
	PasswordWait        time.Duration   `env:"OPSDECK_AUTH_PASSWORD_WAIT" envDefault:"5s" help:"How long a login may wait for its turn before it is refused."`
	RSAKey              string          `env:"OPSDECK_AUTH_RSA_PRIVATE_KEY" help:"Path of an RSA private key (PEM, PKCS#1 or PKCS#8). When set, passwords must arrive encrypted with it: PKCS#1 v1.5, then base64. Readable by the service's user only."`
	AdminPassword       secret.Text     `env:"OPSDECK_AUTH_ADMIN_PASSWORD_FILE,file" help:"Password of platform/admin, read when the first start creates that user. Without it a random one is printed to standard output, once."`
	LoginsPerMinute     int             `env:"OPSDECK_AUTH_LOGINS_PER_MINUTE" envDefault:"20" help:"Logins that one address may try per minute and replica."`
	CaptchasPerMinute   int             `env:"OPSDECK_AUTH_CAPTCHAS_PER_MINUTE" envDefault:"60" help:"Captchas that one address may ask for per minute and replica."`
	RecoveriesPerMinute int             `env:"OPSDECK_AUTH_RECOVERIES_PER_MINUTE" envDefault:"5" help:"Links for a forgotten password that one address may ask for, and redeem, per minute and replica. One user is sent three an hour at most."`
	PublicURL           string          `env:"OPSDECK_AUTH_PUBLIC_URL" help:"Address of the gateway as users reach it, for instance https://ops.example.org: what links in mails and the sign-in by OIDC providers lead to."`
	OIDCPrivate         bool            `env:"OPSDECK_AUTH_OIDC_PRIVATE_NETWORKS" envDefault:"false" help:"Whether OIDC providers may be in private networks or on this machine. Tenants' administrators choose their addresses: set it only if they may make auth connect there."`
	Mail                mail.Config     `envPrefix:"OPSDECK_AUTH_SMTP_"`
	SigningKeyAge       time.Duration   `env:"OPSDECK_AUTH_SIGNING_KEY_AGE" envDefault:"720h" help:"Age at which the key that signs tokens is replaced; at least 24h. Tokens signed before stay good until they expire."`
	ServiceKeys         string          `env:"OPSDECK_AUTH_SERVICE_KEYS" help:"Path of the file of services that may get a token of their own: one name and one secret of at least 16 characters per line. Readable by the service's user only."`
	Resources           string          `env:"OPSDECK_AUTH_RESOURCES_ADDR" help:"gRPC address of the service that owns applications and hosts, which is asked whether there are those that something is granted on, and for their names. Empty for none: ids are believed, and names are those that callers give."`
	DemoCaptcha         string          `env:"OPSDECK_AUTH_DEMO_CAPTCHA" help:"For demonstrations only: five digits that are the answer of every captcha, which then stops no robot."`

	Credentials CredentialConfig `envPrefix:"OPSDECK_AUTH_"`
}

// Validate refuses settings that cannot work.
func (c Config) Validate() error {
	switch {
	case c.DemoCaptcha != "" && (len(c.DemoCaptcha) != 5 || strings.Trim(c.DemoCaptcha, "0123456789") != ""):
		return fmt.Errorf("OPSDECK_AUTH_DEMO_CAPTCHA is %q, want five digits", c.DemoCaptcha)
	case c.LoginsPerMinute < 1:
		return fmt.Errorf("OPSDECK_AUTH_LOGINS_PER_MINUTE is %d, want at least 1", c.LoginsPerMinute)
	case c.CaptchasPerMinute < 1:
		return fmt.Errorf("OPSDECK_AUTH_CAPTCHAS_PER_MINUTE is %d, want at least 1", c.CaptchasPerMinute)
	case c.PasswordsAtOnce < 1:
		return fmt.Errorf("OPSDECK_AUTH_PASSWORDS_AT_ONCE is %d, want at least 1", c.PasswordsAtOnce)
	case c.PasswordWait <= 0:
		return fmt.Errorf("OPSDECK_AUTH_PASSWORD_WAIT is %v, want more than nothing", c.PasswordWait)
	case c.SigningKeyAge < signing.TokenLife:
		return fmt.Errorf("OPSDECK_AUTH_SIGNING_KEY_AGE is %v, want at least %v", c.SigningKeyAge, signing.TokenLife)
	}
	if err := c.validateMail(); err != nil {
		return err
	}
	if err := c.Credentials.Validate(); err != nil {
		return fmt.Errorf("OPSDECK_AUTH_%w", err)
	}
	if err := c.Password.Validate(); err != nil {
		return fmt.Errorf("OPSDECK_AUTH_PASSWORD_MEMORY_KIB, _PASSES, _THREADS: %w", err)
	}
	if err := c.Policy.Validate(); err != nil {
		return fmt.Errorf("OPSDECK_AUTH_PASSWORD_MIN_LENGTH, _MIN_CLASSES: %w", err)
	}
	return nil
}

func (c Config) validateMail() error {
	if err := c.Mail.Validate(); err != nil {
		return fmt.Errorf("OPSDECK_AUTH_SMTP_%w", err)
	}
	if c.RecoveriesPerMinute < 1 {
		return fmt.Errorf("OPSDECK_AUTH_RECOVERIES_PER_MINUTE is %d, want at least 1", c.RecoveriesPerMinute)
	}
	u, err := url.Parse(c.PublicURL)
	switch {
	case c.PublicURL == "" && c.Mail.Enabled():
		return errors.New("OPSDECK_AUTH_PUBLIC_URL is needed for the links in mails")
	case c.PublicURL != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.RawQuery != "" || u.Fragment != ""):
		return fmt.Errorf("OPSDECK_AUTH_PUBLIC_URL is %q, want an address like https://ops.example.org", c.PublicURL)
	}
	return nil
}

// Migrate brings the schema up to date.
func Migrate(ctx context.Context, cfg Config) error {
	return app.MigrateSchema(ctx, name, cfg.ServiceConfig, migrations.FS)
}

// Run serves until ctx ends.
func Run(ctx context.Context, rt *app.Runtime, cfg Config) error {
	svc, err := app.Open(ctx, rt, name, cfg.ServiceConfig, migrations.FS)
	if err != nil {
		return err
	}
	defer svc.Close()
	if err := pg.Migrated(ctx, svc.Pool, name, migrations.FS); err != nil {
		return err
	}
	p, err := open(cfg, svc)
	if err != nil {
		return err
	}
	admin := strings.TrimRight(cfg.AdminPassword.Reveal(), "\r\n")
	if err := user.Bootstrap(ctx, svc.Pool, p.passwords, admin, os.Stdout, time.Now()); err != nil {
		return err
	}
	if err := p.keys.Rotate(ctx); err != nil {
		return err
	}
	inserts, err := jobs.New(svc.Pool, name, nil, svc.Log, jobs.Options{})
	if err != nil {
		return err
	}
	mails := mail.Outbox{Queue: inserts, Sealer: svc.Sealer, Enabled: cfg.Mail.Enabled()}
	factors := &totp.Factors{Pool: svc.Pool, Sealer: svc.Sealer, Mails: mails, Now: time.Now}
	changes := change.Changer{Pool: svc.Pool, Queue: inserts, Now: time.Now}
	sessions := p.sessions(cfg, svc, inserts, factors)
	recoveries := recovery.NewServer(recovery.Config{
		Changes: changes, Sessions: sessions, Sealer: svc.Sealer, Mails: mails, PublicURL: cfg.PublicURL,
		PerMinute: cfg.RecoveriesPerMinute, Log: svc.Log,
	})
	providers := oidc.NewServer(oidc.Config{
		Changes: changes, Sessions: sessions, Passwords: p.passwords, Sealer: svc.Sealer, PublicURL: cfg.PublicURL, Private: cfg.OIDCPrivate,
	})
	defer providers.Close()
	queue, err := p.queue(cfg, svc, sessions, recoveries, providers)
	if err != nil {
		return err
	}
	decisions := rights.NewServer(svc.Pool, time.Now)
	svc.Decider = sessions.Watch(decisions)
	server, err := svc.Server(p.keys)
	if err != nil {
		return err
	}
	users := user.NewServer(changes, sessions)
	resources, hangUp, err := dialResources(cfg)
	if err != nil {
		return err
	}
	defer hangUp()
	grants := grant.NewServer(changes, resources)
	authv1.RegisterApplicationGrantServiceServer(server, grants)
	authv1.RegisterGrantAuditServiceServer(server, audit.NewServer(svc.Pool))
	authv1.RegisterHostGrantServiceServer(server, grants)
	authv1.RegisterPermissionServiceServer(server, grants)
	authv1.RegisterTreeLevelServiceServer(server, grants)
	authv1.RegisterAccessServiceServer(server, decisions)
	authv1.RegisterKeyServiceServer(server, signing.NewServer(p.keys, p.services))
	authv1.RegisterMenuServiceServer(server, decisions)
	authv1.RegisterOidcServiceServer(server, providers)
	authv1.RegisterRecoveryServiceServer(server, recoveries)
	authv1.RegisterRoleServiceServer(server, role.NewServer(changes))
	authv1.RegisterSecondFactorServiceServer(server, totp.NewServer(factors, changes, sessions))
	authv1.RegisterSessionServiceServer(server, sessions)
	authv1.RegisterTenantServiceServer(server, users)
	authv1.RegisterUserServiceServer(server, users)
	cfg.Credentials.register(server, svc, p, sessions, changes)
	return svc.Serve(ctx, server, queue.Run, decisions.Announce(svc.Bus, svc.Log), sessions.WriteSeen(svc.Log))
}

// dialResources connects to the owner of the resources that grants are about, if there is one.
func dialResources(cfg Config) (resources directory.Directory, hangUp func(), err error) {
	if cfg.Resources == "" {
		return directory.New(nil), func() {}, nil
	}
	creds, err := cfg.TLS.Client()
	if err != nil {
		return resources, nil, err
	}
	if err := rpc.RequireTLS(cfg.Resources, creds); err != nil {
		return resources, nil, fmt.Errorf("OPSDECK_AUTH_RESOURCES_ADDR: %w", err)
	}
	conn, err := rpc.Dial(rpc.ClientConfig{Target: cfg.Resources, TLS: creds, MaxMessage: cfg.MaxMessage})
	if err != nil {
		return resources, nil, err
	}
	return directory.New(authv1.NewResourceDirectoryServiceClient(conn)), func() { _ = conn.Close() }, nil // nothing is under way any more
}

// parts are what the RPCs share.
type parts struct {
	captchas  *captcha.Captchas
	passwords *password.Hasher
	keys      *signing.Keys
	rsa       *secret.RSA
	services  signing.Services
}

func open(cfg Config, svc *app.Service) (p parts, err error) {
	if cfg.DemoCaptcha != "" {
		svc.Log.Warn("OPSDECK_AUTH_DEMO_CAPTCHA is set: every captcha has the same answer and stops no robot")
	}
	p.captchas = captcha.New(svc.Pool, svc.Sealer, cfg.DemoCaptcha, time.Now)
	if p.passwords, err = password.New(cfg.Password, cfg.PasswordsAtOnce, cfg.PasswordWait); err != nil {
		return p, err
	}
	if p.keys, err = signing.New(svc.Pool, svc.Sealer, cfg.SigningKeyAge, time.Now); err != nil {
		return p, err
	}
	if cfg.RSAKey != "" {
		if p.rsa, err = secret.LoadRSA(cfg.RSAKey); err != nil {
			return p, fmt.Errorf("OPSDECK_AUTH_RSA_PRIVATE_KEY: %w", err)
		}
	}
	if p.services, err = signing.LoadServices(cfg.ServiceKeys); err != nil {
		return p, fmt.Errorf("OPSDECK_AUTH_SERVICE_KEYS: %w", err)
	}
	return p, nil
}

func (p parts) sessions(cfg Config, svc *app.Service, queue *jobs.Client, factors *totp.Factors) *session.Server {
	return session.NewServer(session.Config{
		Pool: svc.Pool, Queue: queue, Captchas: p.captchas, Passwords: p.passwords, Policy: cfg.Policy, RSA: p.rsa, Keys: p.keys, Factors: factors,
		LoginsPerMinute: cfg.LoginsPerMinute, CaptchasPerMinute: cfg.CaptchasPerMinute, Now: time.Now,
	})
}

// queue carries events to NATS and mails to their server, replaces signing keys and removes what has expired.
func (p parts) queue(cfg Config, svc *app.Service, sessions *session.Server, recoveries *recovery.Server, providers *oidc.Server) (*jobs.Client, error) {
	workers := river.NewWorkers()
	bus.AddWorker(workers, svc.Bus)
	recoveries.AddWorker(workers)
	if cfg.Mail.Enabled() {
		sender, err := mail.NewSender(cfg.Mail)
		if err != nil {
			return nil, fmt.Errorf("OPSDECK_AUTH_SMTP_*: %w", err)
		}
		mail.AddWorker(workers, sender, svc.Sealer, time.Now)
	}
	periodic := upkeep.Schedule(workers, p.keys.Rotate, p.keys.DeleteRetired, p.captchas.DeleteExpired, sessions.DeleteExpired,
		recoveries.DeleteExpired, providers.DeleteExpired)
	return jobs.New(svc.Pool, name, workers, svc.Log, jobs.Options{Periodic: []*river.PeriodicJob{periodic}, StopWait: cfg.Drain})
}

package auth

import (
	"fmt"
	"strings"
	"time"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/app"
	"github.com/opsdeck/opsdeck/pkg/rpc"

	"github.com/opsdeck/opsdeck/services/auth/internal/change"
	"github.com/opsdeck/opsdeck/services/auth/internal/cookie"
	"github.com/opsdeck/opsdeck/services/auth/internal/exchange"
	"github.com/opsdeck/opsdeck/services/auth/internal/refresh"
	"github.com/opsdeck/opsdeck/services/auth/internal/session"
	"github.com/opsdeck/opsdeck/services/auth/internal/token"
)

// CredentialConfig is what can be told about credentials besides passwords.
type CredentialConfig struct {
	DefaultTenant        string `env:"DEFAULT_TENANT" envDefault:"default" help:"Tenant of user names that do not say theirs (tenant:name), in the APIs that know no tenants: /api/v1/login and the sign-in of /api/connector. Users who sign up become its users."`
	Registration         bool   `env:"REGISTRATION" envDefault:"true" help:"Whether everybody may sign up at /api/v1/sign, as the document has it. Users who did have no rights."`
	SignUpsPerMinute     int    `env:"SIGNUPS_PER_MINUTE" envDefault:"5" help:"Users that one address may sign up per minute and replica."`
	RotateRefreshTokens  bool   `env:"ROTATE_REFRESH_TOKENS" envDefault:"true" help:"Whether a refresh token is good once, and the next one comes with each access token. false is for clients that keep to the letter of the document and use one refresh token again and again: then a stolen one is not noticed."`
	TokenReadback        bool   `env:"TOKEN_READBACK" help:"Whether API tokens and app keys that are made from now on can be read in full again. They are then stored sealed besides their hash."`
	TokensPerUser        int    `env:"TOKENS_PER_USER" envDefault:"100" help:"API tokens, and as many app keys, that may act for one user."`
	WrongTokensPerMinute int    `env:"WRONG_TOKENS_PER_MINUTE" envDefault:"120" help:"Wrong API tokens, app keys, cookies and refresh tokens that one address may show per minute and replica before it is turned away."`
}

// Validate refuses settings that cannot work.
func (c CredentialConfig) Validate() error {
	switch {
	case c.DefaultTenant == "" || len(c.DefaultTenant) > 128 || strings.ContainsAny(c.DefaultTenant, ":/ \t\r\n"):
		return fmt.Errorf("DEFAULT_TENANT is %q, want a name without colon, slash and white space", c.DefaultTenant)
	case c.SignUpsPerMinute < 1:
		return fmt.Errorf("SIGNUPS_PER_MINUTE is %d, want at least 1", c.SignUpsPerMinute)
	case c.TokensPerUser < 1:
		return fmt.Errorf("TOKENS_PER_USER is %d, want at least 1", c.TokensPerUser)
	case c.WrongTokensPerMinute < 1:
		return fmt.Errorf("WRONG_TOKENS_PER_MINUTE is %d, want at least 1", c.WrongTokensPerMinute)
	}
	return nil
}

// register serves what other credentials than passwords need.
func (c CredentialConfig) register(server *rpc.Server, svc *app.Service, p parts, sessions *session.Server, changes change.Changer) {
	authv1.RegisterCookieServiceServer(server, cookie.NewServer(cookie.Config{
		Pool: svc.Pool, Sealer: svc.Sealer, Sessions: sessions, Tenant: c.DefaultTenant,
	}))
	authv1.RegisterExchangeServiceServer(server, exchange.NewServer(exchange.Config{
		Pool: svc.Pool, Sealer: svc.Sealer, Keys: p.keys, PerMinute: c.WrongTokensPerMinute, Now: time.Now,
	}))
	authv1.RegisterRefreshServiceServer(server, refresh.NewServer(refresh.Config{
		Changes: changes, Sealer: svc.Sealer, Keys: p.keys, Sessions: sessions, Tenant: c.DefaultTenant, Registration: c.Registration,
		Rotate: c.RotateRefreshTokens, SignUpsPerMinute: c.SignUpsPerMinute, WrongPerMinute: c.WrongTokensPerMinute,
	}))
	tokens := token.NewServer(token.Config{Changes: changes, Sealer: svc.Sealer, PerUser: c.TokensPerUser, ReadBack: c.TokenReadback})
	authv1.RegisterAppKeyServiceServer(server, tokens)
	authv1.RegisterTokenServiceServer(server, tokens)
}

// Package authn says who a caller is: it checks the tokens that the auth service signs and carries the caller in a context.
package authn

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/opsdeck/opsdeck/pkg/fault"
)

// Issuer is the "iss" claim of every token of opsdeck.
const Issuer = "opsdeck"

// leeway is how far the clocks of two machines may differ.
const leeway = 5 * time.Second

// PlatformTenant is the tenant whose users may act on every tenant (contract 000, access_control).
const PlatformTenant = "platform"

// AdminRole is the role that opens every action.
const AdminRole = "admin"

// Principal is a caller whose token was good: a person (Tenant and User) or a service (Service).
type Principal struct {
	Tenant  string
	User    string
	Role    string
	Session string // id of the session of a person
	Service string // name of a service; empty for a person

	// What a credential may be limited to, besides its user's rights; pkg/access enforces it.
	ReadOnly bool   // calls that change nothing
	Scope    string // modules, separated by spaces (RFC 8693, 4.2); empty for all
}

// Name returns tenant:user for a person and the name of a service; empty for a caller that is not known.
func (p Principal) Name() string {
	switch {
	case p.Service != "":
		return p.Service
	case p.User != "":
		return p.Tenant + ":" + p.User
	}
	return ""
}

// IsPlatform reports whether the caller may act on every tenant.
func (p Principal) IsPlatform() bool { return p.Service == "" && p.Tenant == PlatformTenant }

// InScope reports whether the caller's credential is good for a module. "" is no module.
func (p Principal) InScope(module string) bool {
	return p.Scope == "" || slices.Contains(strings.Fields(p.Scope), module)
}

// Claims are the claims of opsdeck's tokens. The first two are those the documents print.
type Claims struct {
	Group    string `json:"group,omitempty"` // tenant
	Name     string `json:"name,omitempty"`  // user name
	Role     string `json:"role,omitempty"`
	Session  string `json:"sid,omitempty"`
	Service  string `json:"svc,omitempty"`
	ReadOnly bool   `json:"ro,omitempty"`
	Scope    string `json:"scope,omitempty"`
	jwt.RegisteredClaims
}

// KeySource finds the public key with an id. It returns an error when there is none.
type KeySource interface {
	PublicKey(ctx context.Context, id string) (ed25519.PublicKey, error)
}

// Verifier checks tokens without asking anybody but its source of keys.
type Verifier struct {
	keys KeySource
	now  func() time.Time
}

// NewVerifier returns a verifier that takes its keys from keys.
func NewVerifier(keys KeySource) *Verifier { return &Verifier{keys: keys, now: time.Now} }

// Verify returns the caller that a token belongs to. Errors: TOKEN_EXPIRED, TOKEN_INVALID, both Unauthenticated; and
// Unavailable when the keys cannot be had.
func (v *Verifier) Verify(ctx context.Context, token string) (Principal, error) {
	var claims Claims
	var keyErr error
	_, err := jwt.ParseWithClaims(token, &claims, func(t *jwt.Token) (any, error) {
		id, ok := t.Header["kid"].(string)
		if !ok {
			return nil, errors.New("the token names no key")
		}
		var key ed25519.PublicKey
		key, keyErr = v.keys.PublicKey(ctx, id)
		return key, keyErr
	},
		jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}), jwt.WithIssuer(Issuer),
		jwt.WithExpirationRequired(), jwt.WithLeeway(leeway), jwt.WithTimeFunc(v.now))
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return Principal{}, fault.Unauthenticated("TOKEN_EXPIRED", "the token has expired: please log in again")
	case keyErr != nil && fault.From(keyErr) != nil && !fault.Is(keyErr, "KEY_UNKNOWN"):
		return Principal{}, fault.Unavailable("KEYS_UNREACHABLE", "the token cannot be checked now: try again").Wrap(keyErr)
	case err != nil:
		return Principal{}, fault.Unauthenticated("TOKEN_INVALID", "the token is not valid: please log in").Wrap(err)
	}
	p := Principal{
		Tenant: claims.Group, User: claims.Name, Role: claims.Role, Session: claims.Session, Service: claims.Service,
		ReadOnly: claims.ReadOnly, Scope: claims.Scope,
	}
	if p.Name() == "" || (p.Service != "" && p.User != "") {
		return Principal{}, fault.Unauthenticated("TOKEN_INVALID", "the token names nobody: please log in")
	}
	return p, nil
}

// Sign makes a token for a caller with the private key that id names.
func Sign(p Principal, id string, key ed25519.PrivateKey, issued, expires time.Time) (string, error) {
	t := jwt.NewWithClaims(jwt.SigningMethodEdDSA, Claims{
		Group: p.Tenant, Name: p.User, Role: p.Role, Session: p.Session, Service: p.Service, ReadOnly: p.ReadOnly, Scope: p.Scope,
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: Issuer, Subject: p.Name(), IssuedAt: jwt.NewNumericDate(issued), ExpiresAt: jwt.NewNumericDate(expires),
		},
	})
	t.Header["kid"] = id
	text, err := t.SignedString(key)
	if err != nil {
		return "", fmt.Errorf("sign token with key %s: %w", id, err)
	}
	return text, nil
}

type principalKey struct{}

// WithPrincipal returns a context that carries the caller.
func WithPrincipal(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// FromContext returns the caller; the zero Principal when nobody signed in.
func FromContext(ctx context.Context) Principal {
	p, _ := ctx.Value(principalKey{}).(Principal)
	return p
}

package relay

import (
	"context"
	"crypto/ed25519"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/fault"

	"github.com/opsdeck/opsdeck/gateway/internal/dialect"
	"github.com/opsdeck/opsdeck/gateway/internal/route"
)

type onlyKey struct{ public ed25519.PublicKey }

func (k onlyKey) PublicKey(context.Context, string) (ed25519.PublicKey, error) { return k.public, nil }

// bank exchanges one API token.
type bank struct{ jwt string }

func (b bank) Exchange(_ context.Context, c dialect.Credential) (string, error) {
	if c == (dialect.Credential{Kind: dialect.APIToken, Value: "good"}) {
		return b.jwt, nil
	}
	return "", fault.Unauthenticated("TOKEN_INVALID", "nobody knows this token")
}

func TestDoor(t *testing.T) {
	t.Parallel()
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	jwt, err := authn.Sign(authn.Principal{Tenant: "t", User: "u"}, "k", private, time.Now(), time.Now().Add(time.Hour))
	require.NoError(t, err)
	verifier := authn.NewVerifier(onlyKey{public})
	closed, open := Door{Verifier: verifier}, Door{Verifier: verifier, Exchanger: bank{jwt}}
	login, list, create := &route.Route{Public: true, Body: "*"}, &route.Route{}, &route.Route{Body: "*"}
	signed, forged := dialect.Credential{Kind: dialect.JWT, Value: jwt}, dialect.Credential{Kind: dialect.JWT, Value: "a.b.c"}
	token, wrong := dialect.Credential{Kind: dialect.APIToken, Value: "good"}, dialect.Credential{Kind: dialect.Cookie, Value: "good"}
	for name, test := range map[string]struct {
		door   Door
		route  *route.Route
		caller dialect.Credential
		jwt    string
		reason string
	}{
		"stranger at a public call":            {open, login, dialect.Credential{}, "", ""},
		"user at a public call":                {open, login, signed, jwt, ""},
		"bad token at a public call":           {open, login, forged, "a.b.c", ""},
		"API token at a public call":           {open, login, token, "", ""},
		"stranger":                             {open, list, dialect.Credential{}, "", "UNAUTHENTICATED"},
		"user":                                 {open, list, signed, jwt, ""},
		"user with a body":                     {open, create, signed, jwt, ""},
		"forged token: the service will check": {open, list, forged, "a.b.c", ""},
		"forged token with a body":             {open, create, forged, "a.b.c", "TOKEN_INVALID"},
		"API token":                            {open, create, token, jwt, ""},
		"API token nobody exchanges":           {closed, create, token, "", "TOKEN_INVALID"},
		"credential nobody knows":              {open, list, wrong, "", "TOKEN_INVALID"},
	} {
		got, err := test.door.admit(t.Context(), test.route, test.caller)
		require.Equal(t, test.jwt, got, name)
		if test.reason == "" {
			require.NoError(t, err, name)
			continue
		}
		var f *fault.Fault
		require.True(t, errors.As(err, &f), name)
		require.Equal(t, test.reason, f.Reason, name)
	}
}

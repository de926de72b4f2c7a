package authn_test

import (
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/fault"
)

// auth is an auth service with one key, which counts how often it is asked.
type auth struct {
	authv1.KeyServiceClient
	public  ed25519.PublicKey
	private ed25519.PrivateKey
	asked   int
	down    bool
}

func newAuth(t *testing.T) *auth {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	return &auth{public: public, private: private}
}

func (a *auth) ListSigningKeys(context.Context, *authv1.ListSigningKeysRequest, ...grpc.CallOption) (*authv1.ListSigningKeysResponse, error) {
	a.asked++
	if a.down {
		return nil, fault.Unavailable("DOWN", "down")
	}
	return &authv1.ListSigningKeysResponse{Keys: []*authv1.SigningKey{{Id: "k1", PublicKey: a.public}}}, nil
}

func (a *auth) IssueServiceToken(_ context.Context, r *authv1.IssueServiceTokenRequest, _ ...grpc.CallOption) (*authv1.IssueServiceTokenResponse, error) {
	a.asked++
	return &authv1.IssueServiceTokenResponse{Token: r.GetService() + "-token", ExpireTime: timestamppb.New(time.Now().Add(time.Hour))}, nil
}

func (a *auth) token(t *testing.T, p authn.Principal, expires time.Time) string {
	t.Helper()
	text, err := authn.Sign(p, "k1", a.private, time.Now().Add(-time.Minute), expires)
	require.NoError(t, err)
	return text
}

func TestVerify(t *testing.T) {
	t.Parallel()
	server := newAuth(t)
	v := authn.NewVerifier(authn.NewRemoteKeys(server))
	ann := authn.Principal{Tenant: "platform", User: "ann", Role: "admin", Session: "s1"}

	got, err := v.Verify(context.Background(), server.token(t, ann, time.Now().Add(time.Hour)))

	require.NoError(t, err)
	require.Equal(t, ann, got)
	require.Equal(t, "platform:ann", got.Name())
	require.True(t, got.IsPlatform())
}

func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	server, stranger := newAuth(t), newAuth(t)
	hour := time.Now().Add(time.Hour)
	ann := authn.Principal{Tenant: "acme", User: "ann"}
	good := server.token(t, ann, hour)
	parts := strings.Split(good, ".")
	hs256 := func() string {
		head := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","kid":"k1","typ":"JWT"}`))
		mac := hmac.New(sha256.New, server.public)
		mac.Write([]byte(head + "." + parts[1]))
		return head + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	unsigned := func() string {
		text, err := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.MapClaims{"iss": "opsdeck", "name": "ann", "exp": hour.Unix()}).SignedString(jwt.UnsafeAllowNoneSignatureType)
		require.NoError(t, err)
		return text
	}
	unknownKey, err := authn.Sign(ann, "k2", server.private, time.Now(), hour)
	require.NoError(t, err)
	for name, tc := range map[string]struct{ token, reason string }{
		"expired":             {server.token(t, ann, time.Now().Add(-time.Minute)), "TOKEN_EXPIRED"},
		"signed by another":   {stranger.token(t, ann, hour), "TOKEN_INVALID"},
		"unknown key":         {unknownKey, "TOKEN_INVALID"},
		"public key as HMAC":  {hs256(), "TOKEN_INVALID"},
		"not signed":          {unsigned(), "TOKEN_INVALID"},
		"changed claims":      {parts[0] + "." + parts[1][:len(parts[1])-2] + "fQ." + parts[2], "TOKEN_INVALID"},
		"names nobody":        {server.token(t, authn.Principal{}, hour), "TOKEN_INVALID"},
		"person and service":  {server.token(t, authn.Principal{Tenant: "a", User: "b", Service: "c"}, hour), "TOKEN_INVALID"},
		"not a token":         {"hello", "TOKEN_INVALID"},
		"empty":               {"", "TOKEN_INVALID"},
		"tenant without user": {server.token(t, authn.Principal{Tenant: "acme"}, hour), "TOKEN_INVALID"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := authn.NewVerifier(authn.NewRemoteKeys(server.clone())).Verify(context.Background(), tc.token)
			require.True(t, fault.Is(err, tc.reason), "got %v", err)
		})
	}
}

func (a *auth) clone() *auth { return &auth{public: a.public, private: a.private} }

func TestKeysOutOfReachAreNotABadToken(t *testing.T) {
	t.Parallel()
	server := newAuth(t)
	token := server.token(t, authn.Principal{Tenant: "acme", User: "ann"}, time.Now().Add(time.Hour))
	server.down = true

	_, err := authn.NewVerifier(authn.NewRemoteKeys(server)).Verify(context.Background(), token)

	require.True(t, fault.Is(err, "KEYS_UNREACHABLE"), "got %v", err)
}

func TestMadeUpKeyIDsAreNoLoad(t *testing.T) {
	t.Parallel()
	server := newAuth(t)
	keys := authn.NewRemoteKeys(server)
	for range 100 {
		_, err := keys.PublicKey(context.Background(), "made-up")
		require.True(t, fault.Is(err, "KEY_UNKNOWN"))
	}
	require.Equal(t, 1, server.asked)
}

func TestServiceTokensAreReused(t *testing.T) {
	t.Parallel()
	server := newAuth(t)
	tokens := authn.NewServiceTokens(server, "replication-worker", "secret")
	for range 3 {
		token, err := tokens.Token(context.Background())
		require.NoError(t, err)
		require.Equal(t, "replication-worker-token", token)
	}
	require.Equal(t, 1, server.asked)
}

// FuzzVerify proves that no text but a token signed by auth names somebody.
func FuzzVerify(f *testing.F) {
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(f, err)
	signed, err := authn.Sign(authn.Principal{Tenant: "acme", User: "ann", ReadOnly: true, Scope: "dns"}, "k1", private, time.Now(), time.Now().Add(time.Hour))
	require.NoError(f, err)
	f.Add(signed)
	f.Add("eyJhbGciOiJub25lIiwia2lkIjoiazEifQ.eyJuYW1lIjoiYW5uIiwiaXNzIjoib3BzZGVjayJ9.")
	f.Add("eyJhbGciOiJFZERTQSIsImtpZCI6bnVsbH0.e30.AAAA")
	f.Add("..")
	v := authn.NewVerifier(authn.NewRemoteKeys(&auth{public: public}))
	f.Fuzz(func(t *testing.T, text string) {
		who, err := v.Verify(context.Background(), text)
		if text == signed {
			require.NoError(t, err)
			require.Equal(t, authn.Principal{Tenant: "acme", User: "ann", ReadOnly: true, Scope: "dns"}, who)
			return
		}
		require.Error(t, err)
		require.NotNil(t, fault.From(err))
		require.Empty(t, who)
	})
}

package auth

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/secret"
)

func TestTokensCanBeReadBack(t *testing.T) {
	c := newCredentials(t, "OPSDECK_AUTH_TOKEN_READBACK", "true", "OPSDECK_AUTH_TOKENS_PER_USER", "2", "OPSDECK_AUTH_WRONG_TOKENS_PER_MINUTE", "3")
	made := c.make(t, c.admin, &authv1.CreateTokenRequest{})
	got, err := c.tokens.GetToken(c.admin, &authv1.GetTokenRequest{Id: made.GetId()})
	require.NoError(t, err)
	require.Equal(t, made.GetValue(), got.GetToken().GetValue())
	require.NotContains(t, strings.Join(c.texts(t, `SELECT row_to_json(x)::text FROM auth.tokens x`), ""), made.GetValue())

	// There is a limit to the tokens of a user, also of those made at once.
	var all sync.WaitGroup
	failures := make([]error, 4)
	for i := range failures {
		all.Go(func() { _, failures[i] = c.tokens.CreateToken(c.admin, &authv1.CreateTokenRequest{Name: "n"}) })
	}
	all.Wait()
	successes := 0
	for _, err := range failures {
		if err == nil {
			successes++
			continue
		}
		requireReason(t, err, "TOKEN_LIMIT")
	}
	require.Equal(t, 1, successes)

	// Wrong credentials are limited per address; right ones are not counted.
	ctx := from(t.Context(), "192.0.2.99")
	for range 5 {
		_, err := c.show(ctx, apiToken(made.GetValue()))
		require.NoError(t, err)
	}
	for range 3 {
		_, err := c.show(ctx, apiToken("opd_"+strings.Repeat("0", 40)))
		requireReason(t, err, "TOKEN_INVALID")
	}
	_, err = c.show(ctx, apiToken(made.GetValue()))
	requireReason(t, err, "RATE_LIMITED")
	_, err = c.show(from(t.Context(), "192.0.2.100"), apiToken(made.GetValue()))
	require.NoError(t, err, "other addresses are free")
}

// Credentials outlive the sealing key under which they were hashed, if they are used while both are in the file.
func TestSealingKeysRotate(t *testing.T) {
	c := newCredentials(t)
	made := c.make(t, c.admin, &authv1.CreateTokenRequest{})
	hash := func() string {
		return c.texts(t, `SELECT encode(secret_hash, 'hex') FROM auth.sessions WHERE kind = 'api_token'`)[0]
	}
	before := hash()
	old, err := os.ReadFile(c.cfg.SealKeys)
	require.NoError(t, err)
	fresh := filepath.Join(t.TempDir(), "fresh")
	require.NoError(t, secret.Generate(fresh))
	added, err := os.ReadFile(fresh)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(c.cfg.SealKeys, append(added, old...), 0o600))
	replica := &running{cfg: c.cfg}
	replica.cfg.GRPCAddr = "unix://" + filepath.Join(t.TempDir(), "s")
	replica.run(t)
	replica.dial(t)
	second := credentialsOf(&accounts{running: replica, users: authv1.NewUserServiceClient(replica.conn)})
	bearer, err := second.show(t.Context(), apiToken(made.GetValue()))
	require.NoError(t, err)
	_, err = second.whoIs(bearer)
	require.NoError(t, err)
	require.NotEqual(t, before, hash())
}

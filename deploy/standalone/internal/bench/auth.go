package bench

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"runtime"

	"github.com/jackc/pgx/v5"
	"golang.org/x/crypto/argon2"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/deploy/standalone/internal/stage"
	"github.com/opsdeck/opsdeck/pkg/access"
	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/rpc"
)

// RunAuth measures what identity costs: credentials at the gateway, decisions about rights, and logins.
func RunAuth(ctx context.Context, out io.Writer, dir, address string, serve stage.Server) error {
	fmt.Fprintf(out, "%d CPUs, %s, medians of %d interleaved rounds, %d callers\n", runtime.NumCPU(), runtime.Version(), rounds, callers)
	if err := credentials(ctx, out); err != nil {
		return err
	}
	return stage.Run(ctx, dir, address, serve, func(ctx context.Context, on *stage.Stage) error {
		opsdeck, err := on.SignIn(ctx)
		if err != nil {
			return err
		}
		conn, err := rpc.Dial(rpc.ClientConfig{Target: "unix://" + filepath.Join(on.Data, "run", "auth"), MaxMessage: 4 << 20})
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }() // the process ends soon
		if err := decisions(ctx, out, authv1.NewAccessServiceClient(conn), opsdeck.Token); err != nil {
			return err
		}
		return logins(ctx, out, authv1.NewRefreshServiceClient(conn), on)
	})
}

// decisions compares an answer that a service remembers with one that it asks auth for.
func decisions(ctx context.Context, out io.Writer, auth authv1.AccessServiceClient, token string) error {
	ctx = rpc.WithCall(ctx, rpc.Call{RequestID: "bench"}.WithToken(token))
	rights := []string{"menu:/v2/jobs/migration"}
	caller := authn.Principal{Tenant: authn.PlatformTenant, User: "admin", Session: "bench"}
	remembers := access.NewRemote(auth, nil)
	arms := []arm{{name: "warm: remembered"}, {name: "cold: auth is asked"}}
	err := interleave(ctx, arms, []func(context.Context) error{
		func(ctx context.Context) error { _, err := remembers.Decide(ctx, caller, rights); return err },
		func(ctx context.Context) error {
			_, err := auth.BatchCheck(ctx, &authv1.BatchCheckRequest{Rights: rights})
			return err
		},
	})
	if err != nil {
		return err
	}
	report(out, "Decision about one right, at a service", "decisions/s", arms)
	return nil
}

// logins compares signing in, and going on with a refresh token, with the bare hash of the password at the same cost.
func logins(ctx context.Context, out io.Writer, auth authv1.RefreshServiceClient, on *stage.Stage) error {
	cost, err := costOf(ctx, on.Data)
	if err != nil {
		return err
	}
	signIn := func(ctx context.Context) (string, error) {
		answer, err := auth.SignIn(fromAnywhere(ctx), &authv1.SignInRequest{Name: "platform:admin", Password: on.Password()})
		return answer.GetRefreshToken(), err
	}
	tokens := make(chan string, callers)
	for range callers {
		token, err := signIn(ctx)
		if err != nil {
			return err
		}
		tokens <- token
	}
	atOnce := make(chan struct{}, runtime.NumCPU()) // more would wait for their turn, and be refused in the end
	inTurn := func(hash func() error) error {
		atOnce <- struct{}{}
		defer func() { <-atOnce }()
		return hash()
	}
	arms := []arm{{name: "refresh"}, {name: "login"}, {name: fmt.Sprintf("bare argon2id, m=%d t=%d p=%d", cost.memory, cost.passes, cost.threads)}}
	err = interleave(ctx, arms, []func(context.Context) error{
		func(ctx context.Context) error {
			answer, err := auth.Refresh(fromAnywhere(ctx), &authv1.RefreshRequest{RefreshToken: <-tokens})
			tokens <- answer.GetRefreshToken()
			return err
		},
		func(ctx context.Context) error {
			return inTurn(func() error { _, err := signIn(ctx); return err })
		},
		func(context.Context) error {
			return inTurn(func() error {
				argon2.IDKey([]byte(on.Password()), make([]byte, 16), cost.passes, cost.memory, cost.threads, 32)
				return nil
			})
		},
	})
	if err != nil {
		return err
	}
	report(out, "Logins", "a second", arms)
	fmt.Fprintf(out, "\nThat is %.1f logins a second and core.\n", arms[1].median().perSecond/float64(runtime.NumCPU()))
	return nil
}

// fromAnywhere is a call from an address of its own: the limits per address are not what is measured.
func fromAnywhere(ctx context.Context) context.Context {
	n := rand.Uint32() //nolint:gosec // no secret
	return rpc.WithCall(ctx, rpc.Call{RequestID: "bench", Address: netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})})
}

// cost is that of the hashes in the database.
type cost struct {
	memory, passes uint32
	threads        uint8
}

func costOf(ctx context.Context, data string) (c cost, err error) {
	url, err := databaseURL(data, "auth")
	if err != nil {
		return c, err
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return c, err
	}
	defer func() { _ = conn.Close(ctx) }() // only read
	var hash string
	if err := conn.QueryRow(ctx, `SELECT password_hash FROM auth.users LIMIT 1`).Scan(&hash); err != nil {
		return c, err
	}
	if _, err := fmt.Sscanf(hash, "$argon2id$v=19$m=%d,t=%d,p=%d$", &c.memory, &c.passes, &c.threads); err != nil {
		return c, fmt.Errorf("cost of the hash: %w", err)
	}
	return c, nil
}

package session_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/opsdeck/opsdeck/deploy/standalone/internal/client"
	"github.com/opsdeck/opsdeck/deploy/standalone/internal/session"
)

// door is the part of auth that gives tokens: access tokens of a quarter of an hour, refresh tokens that are good once.
type door struct {
	*httptest.Server

	mu     sync.Mutex
	turn   int // of the refresh token that is good; 0 when there is no session
	broken bool
}

func newDoor(t *testing.T) *door {
	t.Helper()
	d := &door{}
	d.Server = httptest.NewServer(d)
	t.Cleanup(d.Close)
	return d
}

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var body map[string]string
	_ = json.NewDecoder(r.Body).Decode(&body)
	good := d.turn > 0 && body["refresh_token"] == fmt.Sprintf("refresh-%d", d.turn)
	switch {
	case d.broken:
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(`{"message": "broken"}`))
		return
	case r.URL.Path == "/api/v1/login" && body["name"] == "shop:alice" && body["password"] == "right", r.URL.Path == "/api/v1/refresh" && good:
		d.turn++
	case r.URL.Path == "/api/v1/logout" && good:
		d.turn = 0
	default:
		d.turn = 0 // a refresh token that is used twice ends the session
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"message": "no"}`))
		return
	}
	fmt.Fprintf(w, `{"status": true, "data": {"access_token": "access-%d", "expires_in": 900, "refresh_token": "refresh-%d", "time": 1209600}}`, d.turn, d.turn)
}

var alice = session.Account{User: "shop:alice", Password: "right"}

func TestSession(t *testing.T) {
	t.Parallel()
	d, now := newDoor(t), time.Now()
	s := session.Store{Dir: filepath.Join(t.TempDir(), "opsdeck"), Now: func() time.Time { return now }}
	_, err := s.Token(t.Context())
	require.ErrorIs(t, err, session.ErrNone)
	require.ErrorContains(t, s.Begin(t.Context(), d.URL, false, session.Account{User: "shop:alice", Password: "wrong"}), "no")
	require.NoError(t, s.Begin(t.Context(), d.URL, false, alice))

	file := filepath.Join(s.Dir, "session.json")
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NotContains(t, string(text), "right", "the password is kept nowhere")

	requireToken(t, s, "access-1")
	now = now.Add(14 * time.Minute)
	requireToken(t, s, "access-1")

	// Commands that run at the same time renew the session once.
	now = now.Add(time.Minute)
	var group errgroup.Group
	for range 8 {
		group.Go(func() error {
			token, err := s.Token(t.Context())
			if err == nil && token != "access-2" {
				err = fmt.Errorf("got %s", token)
			}
			return err
		})
	}
	require.NoError(t, group.Wait())

	now = now.Add(time.Hour)
	d.set(func() { d.broken = true })
	_, err = s.Token(t.Context())
	var refused *client.Refused
	require.ErrorAs(t, err, &refused)
	require.Equal(t, http.StatusServiceUnavailable, refused.Status)
	d.set(func() { d.broken = false })
	requireToken(t, s, "access-3") // what failed has cost nothing

	require.NoError(t, os.Chmod(file, 0o644))
	_, err = s.Token(t.Context())
	require.ErrorContains(t, err, "chmod 600")
	require.NoError(t, os.Chmod(file, 0o600))

	_, err = s.End(t.Context())
	require.NoError(t, err)
	_, err = s.Token(t.Context())
	require.ErrorIs(t, err, session.ErrNone)
}

func (d *door) set(change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change()
}

func requireToken(t *testing.T, s session.Store, want string) {
	t.Helper()
	token, err := s.Token(t.Context())
	require.NoError(t, err)
	require.Equal(t, want, token)
}

func TestSessionThatTheServerEnded(t *testing.T) {
	t.Parallel()
	d, now := newDoor(t), time.Now()
	s := session.Store{Dir: t.TempDir(), Now: func() time.Time { return now }}
	require.NoError(t, s.Begin(t.Context(), d.URL, false, alice))
	d.set(func() { d.turn = 0 })
	now = now.Add(time.Hour)
	_, err := s.Token(t.Context())
	require.ErrorIs(t, err, session.ErrNone)

	require.NoError(t, s.Begin(t.Context(), d.URL, false, alice))
	d.set(func() { d.broken = true })
	_, err = s.End(t.Context())
	require.ErrorContains(t, err, "gone from this machine")
	_, err = s.Load()
	require.ErrorIs(t, err, session.ErrNone)
}

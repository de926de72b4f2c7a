// Package stage sets up what the demo and the benchmarks play on: an opsdeck of their own in a temporary directory, with a known
// administrator, that is gone when the play is over.
package stage

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/opsdeck/opsdeck/deploy/standalone/internal/operator"
	"github.com/opsdeck/opsdeck/services/replication-jobs/mariadb"
)

// captcha is the answer to every captcha of the stage's own server.
const captcha = "00036"

const readyPatience = time.Minute

// Server starts opsdeck with a data directory, an administrator's password and a captcha answer, and returns when it ends.
type Server func(ctx context.Context, dir, password, captcha, address string) error

// Stage is where a play happens.
type Stage struct {
	Dir     string // for the play's own files; the users of database servers can reach it
	Data    string // data directory of opsdeck
	Address string // of its gateway

	password string
}

// Run plays in a new directory below parent, "" for the system's temporary one, and leaves nothing behind.
func Run(ctx context.Context, parent, address string, serve Server, play func(context.Context, *Stage) error) (err error) {
	dir, err := os.MkdirTemp(parent, "opsdeck-stage-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // the database servers run as users of their own and must reach their folders in it
		return err
	}
	s := &Stage{Dir: dir, Data: filepath.Join(dir, "opsdeck"), Address: address, password: rand.Text()}
	ctx, cancel := context.WithCancel(ctx)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return serve(ctx, s.Data, s.password, captcha, address) })
	group.Go(func() error {
		defer cancel()
		return play(ctx, s)
	})
	return group.Wait()
}

// SignIn waits until opsdeck is ready and returns its administrator, logged in.
func (s *Stage) SignIn(ctx context.Context) (*operator.Client, error) {
	admin := operator.New(s.Address)
	err := operator.Await(ctx, "opsdeck to be ready", readyPatience, func(ctx context.Context) (bool, error) { return admin.Ready(ctx), nil })
	if err != nil {
		return nil, err
	}
	return admin, admin.Login(ctx, captcha, s.password)
}

// Password is the administrator's.
func (s *Stage) Password() string { return s.password }

// Instance is a private server in the words of a job.
func Instance(s *mariadb.Server) operator.Instance {
	return operator.Instance{Host: "127.0.0.1", Port: s.Port(), User: s.User(), Password: s.Password()}
}

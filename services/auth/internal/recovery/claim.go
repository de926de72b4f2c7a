package recovery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/auth/internal/mail"
)

const (
	claimFor = "auth.password_claim"
	claimTry = 20
)

// claim is somebody's word that an account is his.
type claim struct {
	Account string `json:"account"` // id, user name, or tenant:username
	Email   string `json:"email"`
}

// args are a claim in the queue. The same claim is worked on once a minute, however often it is made.
type args struct {
	Sealed []byte    `json:"sealed"`
	Made   time.Time `json:"made"`
	Same   []byte    `json:"same"   river:"unique"` // hash of the claim
}

// Kind names the job in the queue's table.
func (args) Kind() string { return "auth.password_claim" }

func (s *Server) enqueue(ctx context.Context, c claim) error {
	c = claim{strings.ToLower(c.Account), strings.ToLower(c.Email)}
	text, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("enqueue a claim: %w", err)
	}
	sealed, err := s.cfg.Sealer.Seal(text, claimFor)
	if err != nil {
		return fmt.Errorf("enqueue a claim: %w", err)
	}
	job := args{Sealed: sealed, Made: s.cfg.Changes.Now(), Same: s.cfg.Sealer.MAC(string(text), claimFor)}
	return pg.InTx(ctx, s.cfg.Changes.Pool, func(ctx context.Context, tx pgx.Tx) error {
		_, err := s.cfg.Changes.Queue.Insert(ctx, tx, job, &river.InsertOpts{
			MaxAttempts: claimTry, UniqueOpts: river.UniqueOpts{ByArgs: true, ByPeriod: time.Minute},
		})
		return err
	})
}

type worker struct {
	river.WorkerDefaults[args]

	server *Server
}

// AddWorker registers the worker that finds out whether claims are true.
func (s *Server) AddWorker(workers *river.Workers) { river.AddWorker(workers, &worker{server: s}) }

// Work makes a link for every account that the claim is true of, and enqueues its mail, in one transaction.
func (w *worker) Work(ctx context.Context, job *river.Job[args]) error {
	s, now := w.server, w.server.cfg.Changes.Now()
	if now.Sub(job.Args.Made) > linkLife {
		return river.JobCancel(errors.New("the claim is too old to be answered"))
	}
	text, err := s.cfg.Sealer.Open(job.Args.Sealed, claimFor)
	if err != nil {
		return river.JobCancel(fmt.Errorf("claim in the queue: %w", err))
	}
	var c claim
	if err := json.Unmarshal(text, &c); err != nil {
		return river.JobCancel(errors.New("claim in the queue: not a claim of this release"))
	}
	return pg.InTx(ctx, s.cfg.Changes.Pool, func(ctx context.Context, tx pgx.Tx) error {
		users, err := claimed(ctx, tx, c)
		if err != nil {
			return err
		}
		for _, u := range users {
			if err := s.answer(ctx, tx, u, now); err != nil {
				return err
			}
		}
		return nil
	})
}

// answer sends a link, unless the user was sent enough of them: nobody shall fill somebody else's mailbox.
func (s *Server) answer(ctx context.Context, tx pgx.Tx, u owner, now time.Time) error {
	sent, err := linksSince(ctx, tx, u.ID, now.Add(-time.Hour))
	if err != nil || sent >= linksPerHour {
		return err // the links that were sent stay good
	}
	link, hash := s.link()
	if err := replaceLinks(ctx, tx, u.ID, hash, now); err != nil {
		return err
	}
	m, err := mail.Link(u.Email, u.name(), link, linkLife)
	if err != nil {
		return err
	}
	return s.cfg.Mails.Enqueue(ctx, tx, m, now.Add(linkLife))
}

// parts returns what an account's text may stand for: an id, and a tenant with a user name; "" for any tenant.
func (c claim) parts() (id int64, tenant, username string) {
	tenant, username, found := strings.Cut(c.Account, ":")
	if !found {
		tenant, username = "", c.Account
	}
	id, err := strconv.ParseInt(c.Account, 10, 64)
	if err != nil {
		id = 0
	}
	return id, tenant, username
}

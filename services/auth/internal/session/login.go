package session

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"
	eventv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/event/v1"

	"github.com/opsdeck/opsdeck/pkg/bus"
	"github.com/opsdeck/opsdeck/pkg/pg"
	"github.com/opsdeck/opsdeck/pkg/rpc"

	"github.com/opsdeck/opsdeck/services/auth/internal/bearer"
	"github.com/opsdeck/opsdeck/services/auth/internal/signing"
)

// Session is a session that begins.
type Session struct {
	ID      string // names it; what its user shows is a token signed for it, or a secret of its own
	Kind    bearer.Kind
	Secret  []byte // hash of its secret; nil for the kind password
	Turn    []byte // hash of the half of its refresh token that changes; nil for other kinds than refresh
	Address string // the login came from; empty when it cannot be told
	Agent   string // what the client calls itself
	From    time.Time
	Until   time.Time
}

// NewSession returns a session of the call being served, which begins now.
func (s *Server) NewSession(ctx context.Context, life time.Duration) Session {
	now := s.cfg.Now()
	return Session{
		ID: rand.Text(), Kind: bearer.Password, Address: rpc.FromContext(ctx).AddressText(), Agent: rpc.FromContext(ctx).Agent,
		From: now, Until: now.Add(life),
	}
}

// Login implements the SessionService.
func (s *Server) Login(ctx context.Context, r *authv1.LoginRequest) (*authv1.LoginResponse, error) {
	known, err := s.Authenticate(ctx, Credentials{
		Tenant: r.GetTenant(), Username: r.GetUsername(), Password: r.GetPassword(), Encrypted: true, Code: r.GetTotp(),
		Captcha: &Captcha{ID: r.GetCaptchaId(), Answer: r.GetCaptcha()},
	})
	if err != nil {
		return nil, err
	}
	token, expires, err := s.Open(ctx, known)
	if err != nil {
		return nil, err
	}
	return &authv1.LoginResponse{Token: token, ExpireTime: timestamppb.New(expires)}, nil
}

// Open stores a session of a day and returns its token.
func (s *Server) Open(ctx context.Context, known Known) (token string, expires time.Time, err error) {
	session := s.NewSession(ctx, signing.TokenLife)
	token, err = s.cfg.Keys.Sign(ctx, known.Principal(session.ID), session.From, session.Until)
	if err != nil {
		return "", time.Time{}, err
	}
	err = pg.InTx(ctx, s.cfg.Pool, func(ctx context.Context, tx pgx.Tx) error { return s.Begin(ctx, tx, known, session) })
	return token, session.Until, err
}

// Begin stores a session, in the transaction of whatever else begins with it. It looks at the lock again: it may have closed
// while the password was checked. Errors: ACCOUNT_LOCKED, LOGIN_FAILED for a user who was disabled or got another password
// meanwhile.
func (s *Server) Begin(ctx context.Context, tx pgx.Tx, known Known, session Session) error {
	p := known.person
	who := account{p.Tenant, p.Username}
	if !known.vouched {
		failed, err := attemptsLocked(ctx, tx, who)
		if err != nil {
			return err
		}
		if failed.locked(session.From) {
			return failed.refusal(who, session.From)
		}
	}
	stored, err := insert(ctx, tx, p, session)
	if err != nil {
		return err
	}
	if !stored {
		return loginFailed()
	}
	if known.newHash != "" {
		if err := replaceHash(ctx, tx, p, known.newHash); err != nil {
			return err
		}
	}
	return bus.Publish(ctx, tx, s.cfg.Queue, bus.Event{
		Type: "opsdeck.auth.session.opened", Subject: session.ID, Tenant: p.Tenant,
		Data: &eventv1.SessionOpened{SessionId: session.ID, Tenant: p.Tenant, Username: p.Username, Address: session.Address},
	})
}

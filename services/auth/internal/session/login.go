package session

import (
	"context"
	"crypto/rand"
	"errors"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc/codes"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"
	eventv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/event/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/bus"
	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/pg"
	"github.com/opsdeck/opsdeck/pkg/rpc"
	"github.com/opsdeck/opsdeck/pkg/secret"

	"github.com/opsdeck/opsdeck/services/auth/internal/signing"
)

// countTimeout bounds the writing down of a failure, which goes on when the caller has hung up.
const countTimeout = 5 * time.Second

// authenticated is a person whose password was right, and the hash to store when the old one is stale.
type authenticated struct {
	*person

	newHash string
}

// identify checks captcha, user and password. wrong is a refusal that counts against the account.
func (s *Server) identify(ctx context.Context, who account, r *authv1.LoginRequest) (known authenticated, wrong, err error) {
	right, err := s.cfg.Captchas.Take(ctx, r.GetCaptchaId(), r.GetCaptcha())
	if err != nil {
		return known, nil, err
	}
	if !right {
		return known, captchaWrong(), nil
	}
	password, err := s.reveal(r.GetPassword())
	if err != nil {
		return known, nil, err
	}
	p, err := s.store.person(ctx, who)
	if err != nil {
		return known, nil, err
	}
	if p == nil {
		return known, loginFailed(), s.cfg.Passwords.CheckNobody(ctx, password)
	}
	ok, stale, err := s.cfg.Passwords.Check(ctx, password, p.Hash)
	if err != nil {
		return known, nil, err
	}
	if !ok || !p.Enabled {
		return known, loginFailed(), nil
	}
	known.person = p
	if stale {
		known.newHash, err = s.cfg.Passwords.Hash(ctx, password)
	}
	return known, nil, err
}

// reveal decrypts a password. A ciphertext whose padding is wrong becomes a password nobody has, and goes the whole way of a
// wrong password: same answer, same failure counted, and a time in which argon2 drowns what the padding check took. Only a
// text that is no ciphertext at all is refused as such: everybody can see that without the key.
func (s *Server) reveal(text string) (string, error) {
	if s.cfg.RSA == nil {
		return text, nil
	}
	plain, err := s.cfg.RSA.Decrypt(text)
	if errors.Is(err, secret.ErrUnreadable) {
		return rand.Text(), nil
	}
	if err != nil {
		return "", (&fault.Fault{
			Code: codes.InvalidArgument, Reason: "PASSWORD_UNREADABLE",
			Message: "the password cannot be read: encrypt it with the server's public key (RSA PKCS#1 v1.5, then base64)",
		}).Wrap(err)
	}
	return plain, nil
}

// count writes down a failed login and returns what to answer. Logins to one account that run at the same time are decided
// in the order in which they get here or to open: once the account is locked, right and wrong passwords get the same answer,
// so that a burst of guesses learns no more than three of them one after the other.
func (s *Server) count(ctx context.Context, who account, wrong error) error {
	address := addressOf(ctx)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), countTimeout)
	defer cancel()
	err := pg.InTx(ctx, s.cfg.Pool, func(ctx context.Context, tx pgx.Tx) error {
		now := s.cfg.Now()
		before, err := attemptsMade(ctx, tx, who, now)
		if err != nil {
			return err
		}
		if before.locked(now) {
			wrong = before.refusal(who, now)
			return nil
		}
		after, lockedNow := before.fail(now)
		if err := saveAttempts(ctx, tx, who, after, now); err != nil || !lockedNow {
			return err
		}
		return bus.Publish(ctx, tx, s.cfg.Queue, bus.Event{
			Type: "opsdeck.auth.account.locked", Subject: who.String(), Tenant: who.tenant,
			Data: &eventv1.AccountLocked{Tenant: who.tenant, Username: who.username, Address: address},
		})
	})
	if err != nil {
		return err
	}
	return wrong
}

// open stores a session and returns its token.
func (s *Server) open(ctx context.Context, known authenticated) (token string, expires time.Time, err error) {
	now := s.cfg.Now()
	session := opened{id: rand.Text(), address: addressOf(ctx), from: now, until: now.Add(signing.TokenLife)}
	caller := authn.Principal{Tenant: known.Tenant, User: known.Username, Role: known.Role, Session: session.id}
	token, err = s.cfg.Keys.Sign(ctx, caller, session.from, session.until)
	if err != nil {
		return "", time.Time{}, err
	}
	err = pg.InTx(ctx, s.cfg.Pool, func(ctx context.Context, tx pgx.Tx) error { return s.admit(ctx, tx, known, session) })
	return token, session.until, err
}

// admit looks at the lock again: it may have closed while the password was checked.
func (s *Server) admit(ctx context.Context, tx pgx.Tx, known authenticated, session opened) error {
	who := account{known.Tenant, known.Username}
	failed, err := attemptsLocked(ctx, tx, who)
	if err != nil {
		return err
	}
	if failed.locked(session.from) {
		return failed.refusal(who, session.from)
	}
	stored, err := insert(ctx, tx, known.person, session)
	if err != nil {
		return err
	}
	if !stored {
		return loginFailed()
	}
	if known.newHash != "" {
		if err := replaceHash(ctx, tx, known.person, known.newHash); err != nil {
			return err
		}
	}
	return bus.Publish(ctx, tx, s.cfg.Queue, bus.Event{
		Type: "opsdeck.auth.session.opened", Subject: session.id, Tenant: known.Tenant,
		Data: &eventv1.SessionOpened{SessionId: session.id, Tenant: known.Tenant, Username: known.Username, Address: session.address},
	})
}

func captchaWrong() error {
	return &fault.Fault{
		Code: codes.InvalidArgument, Reason: "CAPTCHA_WRONG",
		Message: "the captcha is wrong, was used before or has expired: ask for a new one",
	}
}

// loginFailed says the same for every cause: which tenants and users exist is nobody's business.
func loginFailed() error {
	return fault.Unauthenticated("LOGIN_FAILED", "tenant, user name or password is wrong")
}

func addressOf(ctx context.Context) string {
	if address := rpc.FromContext(ctx).Address; address != (netip.Addr{}) {
		return address.String()
	}
	return ""
}

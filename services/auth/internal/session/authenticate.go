package session

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc/codes"

	eventv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/event/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/bus"
	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/pg"
	"github.com/opsdeck/opsdeck/pkg/rpc"
	"github.com/opsdeck/opsdeck/pkg/secret"

	"github.com/opsdeck/opsdeck/services/auth/internal/totp"
)

// countTimeout bounds the writing down of a failure, which goes on when the caller has hung up.
const countTimeout = 5 * time.Second

// Credentials are what somebody types to sign in with a password, in whichever dialect.
type Credentials struct {
	Tenant    string
	Username  string // case does not matter
	Password  string
	Encrypted bool     // the document has passwords encrypted when the server has a private key
	Code      string   // of the second factor, or a recovery code; empty when none was given
	Captcha   *Captcha // nil where the document knows none
}

// Captcha is the answer to a captcha.
type Captcha struct{ ID, Answer string }

// Known is a user who has proven who he is, and may begin a session.
type Known struct {
	person  *person
	newHash string // to be stored because the old one was made at another cost
	vouched bool   // somebody else has checked who he is: the lock, which is about guessed passwords, does not matter
}

// Principal returns the user, in a session that is to begin.
func (k Known) Principal(session string) authn.Principal {
	return authn.Principal{Tenant: k.person.Tenant, User: k.person.Username, Role: k.person.Role, Session: session}
}

// Authenticate finds out who somebody is. It is the only way in with a password, so that limits and locks hold in every
// dialect. The order of checks is the documents': the limit of the address, lockout, captcha, user, password; the second factor
// comes last, so that only who knows the password learns that there is one. What is wrong counts against the account. Errors:
// RATE_LIMITED, ACCOUNT_LOCKED, CAPTCHA_WRONG, LOGIN_FAILED, PASSWORD_UNREADABLE, TOTP_REQUIRED, TOTP_WRONG.
func (s *Server) Authenticate(ctx context.Context, c Credentials) (Known, error) {
	if err := s.Admit(ctx); err != nil {
		return Known{}, err
	}
	who := account{c.Tenant, c.Username}
	if err := s.unlocked(ctx, who); err != nil {
		return Known{}, err
	}
	known, wrong, err := s.identify(ctx, who, c)
	if err != nil {
		return Known{}, err
	}
	if wrong != nil {
		return Known{}, s.count(ctx, who, wrong)
	}
	return known, nil
}

// Admit counts one try to sign in against the limit of the caller's address. Errors: RATE_LIMITED.
func (s *Server) Admit(ctx context.Context) error {
	return s.logins.Allow(rpc.FromContext(ctx).Address)
}

// Vouched returns a user of whom somebody else has checked who he is: an OIDC provider. Errors: LOGIN_FAILED for one who is disabled
// or gone.
func (s *Server) Vouched(ctx context.Context, userID int64) (Known, error) {
	p, err := s.store.personByID(ctx, userID)
	if err != nil {
		return Known{}, err
	}
	if p == nil || !p.Enabled {
		return Known{}, loginFailed()
	}
	return Known{person: p, vouched: true}, nil
}

// identify checks captcha, user, password and second factor. wrong is a refusal that counts against the account.
func (s *Server) identify(ctx context.Context, who account, c Credentials) (known Known, wrong, err error) {
	if c.Captcha != nil {
		right, err := s.cfg.Captchas.Take(ctx, c.Captcha.ID, c.Captcha.Answer)
		if err != nil {
			return known, nil, err
		}
		if !right {
			return known, captchaWrong(), nil
		}
	}
	password := c.Password
	if c.Encrypted {
		if password, err = s.reveal(c.Password); err != nil {
			return known, nil, err
		}
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
	err = s.cfg.Factors.Verify(ctx, p.ID, c.Code)
	if fault.Is(err, totp.Wrong) {
		return known, err, nil
	}
	if err != nil {
		return known, nil, err
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
// in the order in which they get here or to Begin: once the account is locked, right and wrong passwords get the same answer,
// so that a burst of guesses learns no more than three of them one after the other.
func (s *Server) count(ctx context.Context, who account, wrong error) error {
	address := rpc.FromContext(ctx).AddressText()
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

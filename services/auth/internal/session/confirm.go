package session

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/secret"
)

// Confirm checks the password of the caller, as it travelled. Wrong ones count like wrong logins, and lock the account like
// them: a stolen session must not become a place to guess. Errors: PASSWORD_WRONG, PASSWORD_UNREADABLE, ACCOUNT_LOCKED.
func (s *Server) Confirm(ctx context.Context, text string) error {
	caller := authn.FromContext(ctx)
	who := account{caller.Tenant, caller.User}
	if err := s.unlocked(ctx, who); err != nil {
		return err
	}
	password, err := s.reveal(text)
	if err != nil {
		return err
	}
	p, err := s.store.person(ctx, who)
	if err != nil {
		return err
	}
	if p == nil {
		return fault.Unauthenticated("SESSION_ENDED", "the session of %s has ended: please log in again", who)
	}
	ok, _, err := s.cfg.Passwords.Check(ctx, password, p.Hash)
	if err != nil {
		return err
	}
	if !ok {
		return s.count(ctx, who, fault.Denied("PASSWORD_WRONG", "current_user_password: is not the password of %s", who))
	}
	return s.unlocked(ctx, who) // it may have been locked while the password was checked
}

func (s *Server) unlocked(ctx context.Context, who account) error {
	failed, err := s.store.attempts(ctx, who)
	if now := s.cfg.Now(); err == nil && failed.locked(now) {
		return failed.refusal(who, now)
	}
	return err
}

// Hash returns what to store for a new password, as it travelled in a field of the request. Errors: PASSWORD_WEAK,
// PASSWORD_UNREADABLE, ACCOUNT_LOCKED.
func (s *Server) Hash(ctx context.Context, field, text string) (string, error) {
	password, err := s.revealNew(ctx, field, text)
	if err != nil {
		return "", err
	}
	if err := s.cfg.Policy.Check(field, password); err != nil {
		return "", err
	}
	return s.cfg.Passwords.Hash(ctx, password)
}

// revealNew tells the caller that a ciphertext does not decrypt: a password that nobody knows must not be stored. So that he
// cannot go on to decrypt other people's (Bleichenbacher's attack takes thousands of tries), each counts like a wrong login.
func (s *Server) revealNew(ctx context.Context, field, text string) (string, error) {
	if s.cfg.RSA == nil {
		return text, nil
	}
	caller := authn.FromContext(ctx)
	who := account{caller.Tenant, caller.User}
	if err := s.unlocked(ctx, who); err != nil {
		return "", err
	}
	plain, err := s.cfg.RSA.Decrypt(text)
	if err == nil {
		return plain, nil
	}
	unreadable := (&fault.Fault{
		Code: codes.InvalidArgument, Reason: "PASSWORD_UNREADABLE",
		Message: field + ": cannot be read: encrypt it with the server's public key (RSA PKCS#1 v1.5, then base64)",
	}).Wrap(err)
	if errors.Is(err, secret.ErrUnreadable) {
		return "", s.count(ctx, who, unreadable)
	}
	return "", unreadable
}

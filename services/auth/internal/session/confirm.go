package session

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/secret"

	"github.com/opsdeck/opsdeck/services/auth/internal/totp"
)

// Confirm checks the password of the caller, as it travelled. Wrong ones count like wrong logins, and lock the account like
// them: a stolen session must not become a place to guess. Errors: PASSWORD_WRONG, PASSWORD_UNREADABLE, ACCOUNT_LOCKED.
func (s *Server) Confirm(ctx context.Context, text string) error {
	if err := s.unlocked(ctx, callerOf(ctx)); err != nil {
		return err
	}
	password, err := s.reveal(text)
	if err != nil {
		return err
	}
	return s.confirm(ctx, password, fault.Denied("PASSWORD_WRONG", "current_user_password: is not the password of %s", callerOf(ctx)))
}

// ConfirmBoth is Confirm for both factors of the caller, if he has a second one. Errors: those of Confirm, TOTP_REQUIRED, TOTP_WRONG.
func (s *Server) ConfirmBoth(ctx context.Context, text, code string) error {
	if err := s.Confirm(ctx, text); err != nil {
		return err
	}
	who := callerOf(ctx)
	p, err := s.store.person(ctx, who)
	if err != nil || p == nil {
		return err
	}
	err = s.cfg.Factors.Verify(ctx, p.ID, code)
	if fault.Is(err, totp.Wrong) {
		return s.count(ctx, who, err)
	}
	return err
}

// ConfirmOriginal is Confirm for calls whose document knows no encryption. Errors: PASSWORD_ORIGINAL_WRONG, ACCOUNT_LOCKED.
func (s *Server) ConfirmOriginal(ctx context.Context, password string) error {
	if err := s.unlocked(ctx, callerOf(ctx)); err != nil {
		return err
	}
	return s.confirm(ctx, password, &fault.Fault{
		Code: codes.InvalidArgument, Reason: "PASSWORD_ORIGINAL_WRONG", Message: "original password is wrong",
	})
}

func (s *Server) confirm(ctx context.Context, password string, wrong error) error {
	who := callerOf(ctx)
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
		return s.count(ctx, who, wrong)
	}
	return s.unlocked(ctx, who) // it may have been locked while the password was checked
}

func callerOf(ctx context.Context) account {
	caller := authn.FromContext(ctx)
	return account{caller.Tenant, caller.User}
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
	return s.HashPlain(ctx, field, password)
}

// HashPlain is Hash for calls whose document knows no encryption. Errors: PASSWORD_WEAK.
func (s *Server) HashPlain(ctx context.Context, field, password string) (string, error) {
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
	who := callerOf(ctx)
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

// Package recovery lets users set their own password: a new one for the old one, or for a link from their mail.
package recovery

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc/codes"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"
	eventv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/event/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/rpc"
	"github.com/opsdeck/opsdeck/pkg/secret"

	"github.com/opsdeck/opsdeck/services/auth/internal/change"
	"github.com/opsdeck/opsdeck/services/auth/internal/mail"
	"github.com/opsdeck/opsdeck/services/auth/internal/ratelimit"
	"github.com/opsdeck/opsdeck/services/auth/internal/rights"
	"github.com/opsdeck/opsdeck/services/auth/internal/session"
)

const (
	linkLife     = 30 * time.Minute
	linksPerHour = 3 // that one user is sent
	tokenBytes   = 32
	hashedFor    = "auth.password_reset"

	// page is where the gateway serves the form of a link. The token stands behind the #, which browsers keep to themselves: it is
	// in no request, and so in no log.
	page = "/reset-password#"
)

// Config is what recovery stands on.
type Config struct {
	Changes   change.Changer
	Sessions  *session.Server
	Sealer    *secret.Sealer
	Mails     mail.Outbox
	PublicURL string // of the gateway, as users reach it
	PerMinute int    // requests from one address
	Log       *zap.Logger
}

// Server serves the RecoveryService.
type Server struct {
	authv1.UnimplementedRecoveryServiceServer

	cfg      Config
	requests *ratelimit.Limiter // for links
	redeemed *ratelimit.Limiter // of tokens
}

// NewServer returns the RecoveryService.
func NewServer(cfg Config) *Server {
	return &Server{
		cfg:      cfg,
		requests: ratelimit.New("requests for a new password", cfg.PerMinute, cfg.Changes.Now),
		redeemed: ratelimit.New("new passwords", cfg.PerMinute, cfg.Changes.Now),
	}
}

// ForgetPassword implements the RecoveryService. It looks nothing up: whether there is such an account is found out by a job, when
// the answer is gone, so that neither its text nor its time tells.
func (s *Server) ForgetPassword(ctx context.Context, r *authv1.ForgetPasswordRequest) (*authv1.ForgetPasswordResponse, error) {
	if err := s.requests.Allow(rpc.FromContext(ctx).Address); err != nil {
		return nil, err
	}
	if !s.cfg.Mails.Enabled {
		s.cfg.Log.Warn("somebody forgot a password, and no mail is sent: set OPSDECK_AUTH_SMTP_ADDR")
		return &authv1.ForgetPasswordResponse{}, nil
	}
	if err := s.enqueue(ctx, claim{Account: r.GetId(), Email: r.GetEmail()}); err != nil {
		return nil, err
	}
	return &authv1.ForgetPasswordResponse{}, nil
}

// ResetForgottenPassword implements the RecoveryService. The token is looked up before the password is hashed: hashing is dear, and
// not for everybody.
func (s *Server) ResetForgottenPassword(ctx context.Context, r *authv1.ResetForgottenPasswordRequest) (*authv1.ResetForgottenPasswordResponse, error) {
	if err := s.redeemed.Allow(rpc.FromContext(ctx).Address); err != nil {
		return nil, err
	}
	hashes := s.cfg.Sealer.MACs(r.GetToken(), hashedFor)
	who, err := byLink(ctx, s.cfg.Changes.Pool, hashes, s.cfg.Changes.Now())
	if err != nil {
		return nil, err
	}
	if who == nil {
		return nil, linkInvalid()
	}
	hash, err := s.cfg.Sessions.HashPlain(ctx, "new_password", r.GetNewPassword())
	if err != nil {
		return nil, err
	}
	err = s.cfg.Changes.For(ctx, who.rights(), who.Tenant, func(ctx context.Context, c *change.Change) error {
		used, err := useLink(ctx, c.Tx, hashes, c.Now)
		if err != nil {
			return err
		}
		if !used {
			return linkInvalid()
		}
		if _, err := session.Unlock(ctx, c.Tx, who.Tenant, who.Username); err != nil {
			return err
		}
		return s.set(ctx, c, *who, hash, "", "changed by a link")
	})
	if err != nil {
		return nil, err
	}
	return &authv1.ResetForgottenPasswordResponse{}, nil
}

// ChangePassword implements the RecoveryService.
func (s *Server) ChangePassword(ctx context.Context, r *authv1.ChangePasswordRequest) (*authv1.ChangePasswordResponse, error) {
	if err := s.cfg.Sessions.ConfirmOriginal(ctx, r.GetOriginalPassword()); err != nil {
		return nil, err
	}
	hash, err := s.cfg.Sessions.HashPlain(ctx, "new_password", r.GetNewPassword())
	if err != nil {
		return nil, err
	}
	caller := authn.FromContext(ctx)
	err = s.cfg.Changes.In(ctx, caller.Tenant, func(ctx context.Context, c *change.Change) error {
		who, err := byID(ctx, c.Tx, c.By.UserID)
		if err != nil {
			return err
		}
		return s.set(ctx, c, *who, hash, caller.Session, "changed")
	})
	if err != nil {
		return nil, err
	}
	return &authv1.ChangePasswordResponse{}, nil
}

// set stores a password, ends the user's sessions but for one, and tells him.
func (s *Server) set(ctx context.Context, c *change.Change, who owner, hash, stays, how string) error {
	if err := session.SetPassword(ctx, c.Tx, who.ID, hash, c.Now, stays); err != nil {
		return err
	}
	notice, err := mail.Notice(who.Email, who.name(), mail.PasswordChanged, c.Now, rpc.FromContext(ctx).AddressText())
	if err != nil {
		return err
	}
	if err := s.cfg.Mails.Enqueue(ctx, c.Tx, notice, c.Now.Add(mail.NoticeLife)); err != nil {
		return err
	}
	return c.Record(ctx, change.Entry{
		Action: "user.updated", Subject: who.name(), After: map[string]string{"password": how},
		Event: &eventv1.UserChanged{
			Tenant: who.Tenant, Username: who.Username, Role: who.Role, ChangedBy: c.By.Principal().Name(), PasswordChanged: true,
		},
	})
}

// DeleteExpired removes the links that neither open anything nor count any more.
func (s *Server) DeleteExpired(ctx context.Context) error {
	return deleteOld(ctx, s.cfg.Changes.Pool, s.cfg.Changes.Now().Add(-time.Hour))
}

// link returns a fresh link and the hash by which its token is found.
func (s *Server) link() (text string, hash []byte) {
	raw := make([]byte, tokenBytes)
	_, _ = rand.Read(raw) // never fails: it ends the process instead
	token := base64.RawURLEncoding.EncodeToString(raw)
	return strings.TrimRight(s.cfg.PublicURL, "/") + page + token, s.cfg.Sealer.MAC(token, hashedFor)
}

func linkInvalid() error {
	return &fault.Fault{
		Code: codes.InvalidArgument, Reason: "RESET_LINK_INVALID",
		Message: fmt.Sprintf("token: the link was used, is older than %d minutes, or was replaced by a newer one: ask for another", int(linkLife.Minutes())),
	}
}

func (u owner) name() string { return u.rights().Principal().Name() }

// rights are those of the user himself, who is known by his link.
func (u owner) rights() rights.Rights {
	return rights.Rights{UserID: u.ID, Tenant: u.Tenant, Username: u.Username, Role: u.Role}
}

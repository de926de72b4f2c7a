package totp

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"image/png"

	"github.com/pquerna/otp/totp"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"
	eventv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/event/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/fault"

	"github.com/opsdeck/opsdeck/services/auth/internal/change"
	"github.com/opsdeck/opsdeck/services/auth/internal/mail"
)

const (
	issuer   = "opsdeck" // what the app shows before the account
	qrPixels = 256
)

// Confirmer checks callers again, so that a stolen session is not enough to change how its user signs in.
type Confirmer interface {
	// Confirm returns nil when the text is the caller's own password, as it travelled. Wrong ones count towards the lock.
	Confirm(ctx context.Context, text string) error
	// ConfirmBoth returns nil when the caller's second factor is right besides. Wrong ones count as well.
	ConfirmBoth(ctx context.Context, text, code string) error
}

// Server serves the SecondFactorService.
type Server struct {
	authv1.UnimplementedSecondFactorServiceServer

	factors   *Factors
	changes   change.Changer
	confirmer Confirmer
}

// NewServer returns the SecondFactorService of these factors.
func NewServer(factors *Factors, changes change.Changer, confirmer Confirmer) *Server {
	return &Server{factors: factors, changes: changes, confirmer: confirmer}
}

// own changes something of the caller himself.
func (s *Server) own(ctx context.Context, do func(ctx context.Context, c *change.Change) error) error {
	return s.changes.In(ctx, authn.FromContext(ctx).Tenant, do)
}

// GetSecondFactor implements the SecondFactorService.
func (s *Server) GetSecondFactor(ctx context.Context, _ *authv1.GetSecondFactorRequest) (*authv1.GetSecondFactorResponse, error) {
	answer := &authv1.GetSecondFactorResponse{}
	err := s.own(ctx, func(ctx context.Context, c *change.Change) error {
		known, err := factorOf(ctx, c.Tx, c.By.UserID)
		if err != nil || known == nil || !known.Confirmed() {
			return err
		}
		answer.Enabled, answer.RecoveryCodesLeft, answer.EnableTime = true, known.Left, timestamppb.New(*known.ConfirmedAt)
		return nil
	})
	return answer, err
}

// EnrollTotp implements the SecondFactorService.
func (s *Server) EnrollTotp(ctx context.Context, r *authv1.EnrollTotpRequest) (*authv1.EnrollTotpResponse, error) {
	if err := s.confirmer.Confirm(ctx, r.GetPassword()); err != nil {
		return nil, err
	}
	key, err := totp.Generate(totp.GenerateOpts{Issuer: issuer, AccountName: authn.FromContext(ctx).Name()}) // 20 random bytes
	if err != nil {
		return nil, fmt.Errorf("make a secret: %w", err)
	}
	picture, err := key.Image(qrPixels, qrPixels)
	if err != nil {
		return nil, fmt.Errorf("draw a QR code: %w", err)
	}
	var encoded bytes.Buffer
	if err := png.Encode(&encoded, picture); err != nil {
		return nil, fmt.Errorf("draw a QR code: %w", err)
	}
	err = s.own(ctx, func(ctx context.Context, c *change.Change) error {
		sealed, err := s.factors.Sealer.Seal([]byte(key.Secret()), secretFor(c.By.UserID))
		if err != nil {
			return err
		}
		stored, err := enroll(ctx, c.Tx, c.By.UserID, sealed)
		if err == nil && !stored {
			err = enabled()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &authv1.EnrollTotpResponse{
		Secret: key.Secret(), Uri: key.URL(), QrCode: "data:image/png;base64," + base64.StdEncoding.EncodeToString(encoded.Bytes()),
	}, nil
}

// ConfirmTotp implements the SecondFactorService. A wrong code counts for nothing here: the secret is the caller's own, and new.
func (s *Server) ConfirmTotp(ctx context.Context, r *authv1.ConfirmTotpRequest) (*authv1.ConfirmTotpResponse, error) {
	answer := &authv1.ConfirmTotpResponse{}
	err := s.own(ctx, func(ctx context.Context, c *change.Change) error {
		known, err := factorOf(ctx, c.Tx, c.By.UserID)
		switch {
		case err != nil:
			return err
		case known == nil:
			return notEnrolled()
		case known.Confirmed():
			return enabled()
		}
		step, err := s.factors.stepOf(*known, r.GetTotp())
		if err != nil {
			return err
		}
		if step == 0 {
			return &fault.Fault{Code: codes.InvalidArgument, Reason: Wrong, Message: "totp: is not what the app shows now"}
		}
		if turned, err := confirm(ctx, c.Tx, known.UserID, step, c.Now); err != nil || !turned {
			return err
		}
		fresh, hashes := s.factors.newRecoveryCodes(known.UserID)
		if err := replaceRecovery(ctx, c.Tx, known.UserID, hashes); err != nil {
			return err
		}
		answer.RecoveryCodes = fresh
		return s.record(ctx, c, *known, mail.SecondFactorEnabled, "enabled")
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// RenewRecoveryCodes implements the SecondFactorService.
func (s *Server) RenewRecoveryCodes(ctx context.Context, r *authv1.RenewRecoveryCodesRequest) (*authv1.RenewRecoveryCodesResponse, error) {
	answer := &authv1.RenewRecoveryCodesResponse{}
	err := s.confirmed(ctx, r.GetPassword(), r.GetTotp(), func(ctx context.Context, c *change.Change, known factor) error {
		fresh, hashes := s.factors.newRecoveryCodes(known.UserID)
		answer.RecoveryCodes = fresh
		if err := replaceRecovery(ctx, c.Tx, known.UserID, hashes); err != nil {
			return err
		}
		return s.record(ctx, c, known, "", "new recovery codes")
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// DisableTotp implements the SecondFactorService.
func (s *Server) DisableTotp(ctx context.Context, r *authv1.DisableTotpRequest) (*authv1.DisableTotpResponse, error) {
	err := s.confirmed(ctx, r.GetPassword(), r.GetTotp(), func(ctx context.Context, c *change.Change, known factor) error {
		if _, err := Remove(ctx, c.Tx, known.UserID); err != nil {
			return err
		}
		return s.record(ctx, c, known, mail.SecondFactorDisabled, "disabled")
	})
	if err != nil {
		return nil, err
	}
	return &authv1.DisableTotpResponse{}, nil
}

// confirmed changes the second factor of a caller who has shown both factors.
func (s *Server) confirmed(ctx context.Context, password, code string, do func(ctx context.Context, c *change.Change, known factor) error) error {
	if err := s.confirmer.ConfirmBoth(ctx, password, code); err != nil {
		return err
	}
	return s.own(ctx, func(ctx context.Context, c *change.Change) error {
		known, err := factorOf(ctx, c.Tx, c.By.UserID)
		if err != nil {
			return err
		}
		if known == nil || !known.Confirmed() {
			return notEnrolled()
		}
		return do(ctx, c, *known)
	})
}

// record writes a change down and tells the user, unless there is nothing to tell.
func (s *Server) record(ctx context.Context, c *change.Change, known factor, notice mail.Change, after string) error {
	if notice != "" {
		if err := s.factors.notify(ctx, c.Tx, known, notice); err != nil {
			return err
		}
	}
	return c.Record(ctx, change.Entry{
		Action: "user.updated", Subject: c.By.Principal().Name(), After: map[string]string{"second_factor": after},
		Event: &eventv1.UserChanged{
			Tenant: c.By.Tenant, Username: c.By.Username, Role: c.By.Role, ChangedBy: c.By.Principal().Name(), SecondFactorChanged: true,
		},
	})
}

func enabled() error {
	return fault.Precondition("TOTP_ENABLED", "the second factor is on already: turn it off first")
}

func notEnrolled() error {
	return fault.Precondition("TOTP_NOT_ENROLLED", "there is no second factor: begin with /v2/user/totp/enroll")
}

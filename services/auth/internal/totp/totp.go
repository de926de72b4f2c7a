// Package totp is the second factor of sign-ins with a password: codes of an authenticator app (TOTP, RFC 6238) and recovery codes.
package totp

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/pg"
	"github.com/opsdeck/opsdeck/pkg/secret"

	"github.com/opsdeck/opsdeck/services/auth/internal/mail"
)

// Reasons of faults.
const (
	Required = "TOTP_REQUIRED"
	Wrong    = "TOTP_WRONG"
)

// What every authenticator app takes for granted.
const (
	period = 30 * time.Second
	digits = 6
	skew   = 1 // steps that the clocks may differ, either way (RFC 6238, 5.2)
)

const (
	recoveryCodes  = 10
	recoveryLength = 10 // characters of base32: 50 bits each, and a wrong one counts towards the lock
)

// Factors are the second factors of users.
type Factors struct {
	Pool   *pgxpool.Pool
	Sealer *secret.Sealer
	Mails  mail.Outbox
	Now    func() time.Time
}

// Verify takes the code of a user whose password was right; users without a second factor need none. A code of the app is good once,
// and no older one after it; a recovery code is good once. Errors: TOTP_REQUIRED, TOTP_WRONG, both Unauthenticated.
func (f *Factors) Verify(ctx context.Context, userID int64, code string) error {
	known, err := factorOf(ctx, f.Pool, userID)
	if err != nil || known == nil || !known.Confirmed() {
		return err
	}
	if code == "" {
		return fault.Unauthenticated(Required, "totp: a code of the second factor is needed")
	}
	right, err := f.take(ctx, *known, code)
	if err == nil && !right {
		err = wrong()
	}
	return err
}

func wrong() error {
	return fault.Unauthenticated(Wrong, "totp: the code is wrong, too old, or was used before")
}

// take uses a code up.
func (f *Factors) take(ctx context.Context, known factor, code string) (bool, error) {
	if !isTOTP(code) {
		return f.takeRecovery(ctx, known, code)
	}
	step, err := f.stepOf(known, code)
	if err != nil || step == 0 {
		return false, err
	}
	return advance(ctx, f.Pool, known.UserID, step)
}

func (f *Factors) takeRecovery(ctx context.Context, known factor, code string) (taken bool, err error) {
	hashes := f.Sealer.MACs(normal(code), recoveryFor(known.UserID))
	err = pg.InTx(ctx, f.Pool, func(ctx context.Context, tx pgx.Tx) error {
		if taken, err = dropRecovery(ctx, tx, known.UserID, hashes); err != nil || !taken {
			return err
		}
		return f.notify(ctx, tx, known, mail.RecoveryCodeUsed)
	})
	return taken, err
}

// stepOf returns the time step that a code belongs to; 0 for none. The code is compared with all of them, whichever fits.
func (f *Factors) stepOf(known factor, code string) (int64, error) {
	plain, err := f.Sealer.Open(known.Secret, secretFor(known.UserID))
	if err != nil {
		return 0, fmt.Errorf("second factor of user %d: %w; has the file of sealing keys been replaced?", known.UserID, err)
	}
	current, found := f.Now().Unix()/int64(period.Seconds()), int64(0)
	for step := current - skew; step <= current+skew; step++ {
		want, err := hotp.GenerateCodeCustom(string(plain), uint64(step), hotp.ValidateOpts{Digits: digits, Algorithm: otp.AlgorithmSHA1})
		if err != nil {
			return 0, fmt.Errorf("second factor of user %d: %w", known.UserID, err)
		}
		if subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
			found = step
		}
	}
	return found, nil
}

// isTOTP tells codes of the app from recovery codes.
func isTOTP(code string) bool {
	return len(code) == digits && strings.Trim(code, "0123456789") == ""
}

// newRecoveryCodes returns codes to be shown, and the hashes to be stored.
func (f *Factors) newRecoveryCodes(userID int64) (codes []string, hashes [][]byte) {
	for range recoveryCodes {
		code := strings.ToLower(rand.Text()[:recoveryLength])
		codes = append(codes, code[:recoveryLength/2]+"-"+code[recoveryLength/2:])
		hashes = append(hashes, f.Sealer.MAC(normal(code), recoveryFor(userID)))
	}
	return codes, hashes
}

// normal takes out of a recovery code what people put in and leave out.
func normal(code string) string {
	return strings.ToLower(strings.NewReplacer("-", "", " ", "").Replace(code))
}

func secretFor(userID int64) string   { return fmt.Sprintf("auth.totp/%d", userID) }
func recoveryFor(userID int64) string { return fmt.Sprintf("auth.recovery_code/%d", userID) }

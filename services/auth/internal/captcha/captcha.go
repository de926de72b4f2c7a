// Package captcha makes captchas and checks their answers. They are kept in the database, so that any replica can check
// what another one made.
package captcha

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/mojocn/base64Captcha"

	"github.com/opsdeck/opsdeck/pkg/pg"
	"github.com/opsdeck/opsdeck/pkg/secret"
)

// Lifetime is how long a captcha can be answered.
const Lifetime = 10 * time.Minute

// Audio is the type of captchas that are spoken; every other type is a picture.
const Audio = "audio"

const (
	idSize      = 20
	imageDigits = 5
	audioDigits = 6
)

// Captchas makes captchas and takes answers.
type Captchas struct {
	pool   *pgxpool.Pool
	sealer *secret.Sealer
	demo   string // the answer of every captcha, for demonstrations
	now    func() time.Time
}

// New returns captchas with random answers, or, when demo is not empty, captchas whose answer is always demo.
func New(pool *pgxpool.Pool, sealer *secret.Sealer, demo string, now func() time.Time) *Captchas {
	return &Captchas{pool: pool, sealer: sealer, demo: demo, now: now}
}

// Create makes a captcha and returns its id and its picture or sound as a data URI.
func (c *Captchas) Create(ctx context.Context, kind string) (id, dataURI string, err error) {
	// The library's own ids and answers would do; these make plain where the randomness comes from.
	id = rand.Text()[:idSize]
	var driver base64Captcha.Driver = base64Captcha.NewDriverDigit(80, 240, imageDigits, 0.7, 80)
	length := imageDigits
	if kind == Audio {
		driver, length = base64Captcha.NewDriverAudio(audioDigits, "en"), audioDigits
	}
	answer := c.demo
	if answer == "" {
		answer = digits(length)
	}
	item, err := driver.DrawCaptcha(answer)
	if err != nil {
		return "", "", fmt.Errorf("draw a captcha: %w", err)
	}
	if err := c.insert(ctx, id, answer); err != nil {
		return "", "", err
	}
	return id, item.EncodeB64string(), nil
}

// Take uses a captcha up and reports whether the answer is right. A captcha that was used, has expired or never existed has
// no right answer.
func (c *Captchas) Take(ctx context.Context, id, answer string) (bool, error) {
	sealed, err := c.delete(ctx, id)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, pg.Fault(err, "CAPTCHA_WRONG", "captcha id")
	}
	want, err := c.sealer.Open(sealed, sealedFor(id))
	if err != nil {
		return false, fmt.Errorf("answer of captcha %s: %w", id, err)
	}
	return subtle.ConstantTimeCompare(want, []byte(answer)) == 1, nil
}

// DeleteExpired removes the captchas that nobody answered in time.
func (c *Captchas) DeleteExpired(ctx context.Context) error {
	_, err := c.pool.Exec(ctx, `DELETE FROM auth.captchas WHERE expires_at <= $1`, c.now())
	return pg.Fault(err, "CAPTCHA", "delete expired captchas")
}

func (c *Captchas) insert(ctx context.Context, id, answer string) error {
	sealed, err := c.sealer.Seal([]byte(answer), sealedFor(id))
	if err != nil {
		return err
	}
	_, err = c.pool.Exec(ctx, `INSERT INTO auth.captchas (id, answer, expires_at) VALUES ($1, $2, $3)`,
		id, sealed, c.now().Add(Lifetime))
	return pg.Fault(err, "CAPTCHA", "keep a captcha")
}

// delete returns the answer to one caller only, whatever replica it asks.
func (c *Captchas) delete(ctx context.Context, id string) (sealed []byte, err error) {
	err = c.pool.QueryRow(ctx, `DELETE FROM auth.captchas WHERE id = $1 AND expires_at > $2 RETURNING answer`,
		id, c.now()).Scan(&sealed)
	return sealed, err
}

func sealedFor(id string) string { return "auth.captcha/" + id }

func digits(length int) string {
	limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(length)), nil)
	n, _ := rand.Int(rand.Reader, limit) // never fails: it ends the process instead
	return fmt.Sprintf("%0*d", length, n)
}

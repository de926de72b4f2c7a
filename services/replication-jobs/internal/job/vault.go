package job

import (
	"crypto/rand"
	"errors"
	"fmt"
	"unicode/utf8"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/secret"
)

// Decrypter reads passwords that clients encrypted with the server's RSA key.
type Decrypter interface {
	// Decrypt returns the password, or an error when the text is not one encrypted with the key.
	Decrypt(base64text string) (string, error)
}

// Decrypt reads an encrypted password of a request. field names it in the error, PASSWORD_UNREADABLE; a nil key belongs to a
// server that has none. A ciphertext whose padding is wrong becomes a password nobody has, as at the login: who could tell it
// from a wrong password could decrypt what others sent, logins included where auth has the same key. So does one that holds no
// text, which could not travel to a worker node.
func Decrypt(key Decrypter, field, text string) (string, error) {
	if key == nil {
		return "", unreadable(field, "is said to be encrypted, but this server has no RSA key: send it in plain over TLS, with is_mysql_password_encrypted false")
	}
	plain, err := key.Decrypt(text)
	if errors.Is(err, secret.ErrUnreadable) || err == nil && !utf8.ValidString(plain) {
		return rand.Text(), nil
	}
	if err != nil {
		return "", unreadable(field, "is not encrypted with the server's RSA key: want RSA PKCS#1 v1.5, then base64").Wrap(err)
	}
	return plain, nil
}

func unreadable(field, problem string) *fault.Fault {
	f := fault.Invalid(field, "%s", problem)
	f.Reason = "PASSWORD_UNREADABLE"
	return f
}

// The two ends of a job, as they appear in answers.
const (
	Source = "src"
	Target = "dst"
)

// sealed are passwords as they are stored.
type sealed struct{ source, target []byte }

// seal seals passwords for one incarnation of a job.
func seal(s *secret.Sealer, incarnation string, p passwords) (sealed, error) {
	source, err := s.Seal([]byte(p.source), place(incarnation, Source))
	if err != nil {
		return sealed{}, err
	}
	target, err := s.Seal([]byte(p.target), place(incarnation, Target))
	return sealed{source, target}, err
}

// Unseal puts the stored passwords of a job back into its configuration.
func Unseal(s *secret.Sealer, c *replicationv1.JobConfig, incarnation string, source, target []byte) error {
	words, err := unseal(s, c.GetJobId(), incarnation, source, target)
	setPasswords(c, words)
	return err
}

// unseal opens the stored passwords of a job.
func unseal(s *secret.Sealer, id, incarnation string, source, target []byte) (passwords, error) {
	from, err := s.Open(source, place(incarnation, Source))
	if err != nil {
		return passwords{}, fmt.Errorf("password of the source of job %s: %w", id, err)
	}
	to, err := s.Open(target, place(incarnation, Target))
	if err != nil {
		return passwords{}, fmt.Errorf("password of the target of job %s: %w", id, err)
	}
	return passwords{source: string(from), target: string(to)}, nil
}

// place is the context that a password is sealed for.
func place(incarnation, end string) string { return "replication.job/" + incarnation + "/" + end }

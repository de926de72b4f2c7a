package secret

import (
	"fmt"
	"io"
)

const mask = "*"

// Text is a secret that prints, logs and marshals as "*". Only Reveal gives the value.
type Text string

// Reveal returns the secret itself.
func (t Text) Reveal() string { return string(t) }

// String hides the secret.
func (Text) String() string { return mask }

// Format hides the secret from every verb of package fmt.
func (Text) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, mask) }

// MarshalText hides the secret from JSON, YAML and XML encoders, and from zap.
func (Text) MarshalText() ([]byte, error) { return []byte(mask), nil }

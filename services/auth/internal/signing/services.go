package signing

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"os"
	"strings"
)

// minSecret is the least length of a service's secret, as in the request's rule.
const minSecret = 16

// Services are the services that may ask for a token, with the hashes of their secrets.
type Services map[string][sha256.Size]byte

// LoadServices reads a file with one service per line, its name and its secret separated by spaces; empty lines and lines
// that start with # are skipped. A file that others may read is refused. No path means no services.
func LoadServices(path string) (Services, error) {
	if path == "" {
		return Services{}, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("service key file: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("service key file %s has mode %04o: others can read it; run chmod 600 %s", path, mode, path)
	}
	text, err := os.ReadFile(path) //nolint:gosec // the path is the operator's setting
	if err != nil {
		return nil, fmt.Errorf("service key file: %w", err)
	}
	services, err := parseServices(string(text))
	if err != nil {
		return nil, fmt.Errorf("service key file %s: %w", path, err)
	}
	return services, nil
}

func parseServices(text string) (Services, error) {
	services := Services{}
	n := 0
	for line := range strings.Lines(text) {
		n++
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		// The errors must not quote the line: it holds a secret.
		if len(fields) != 2 {
			return nil, fmt.Errorf("line %d has %d words, want the name of a service and its secret", n, len(fields))
		}
		name, secret := fields[0], fields[1]
		if len(secret) < minSecret {
			return nil, fmt.Errorf("line %d: the secret of %s has %d characters, want at least %d", n, name, len(secret), minSecret)
		}
		if _, twice := services[name]; twice {
			return nil, fmt.Errorf("line %d: %s is listed twice", n, name)
		}
		services[name] = sha256.Sum256([]byte(secret))
	}
	return services, nil
}

// know reports whether a secret is that of a service. Hashes are compared, so that neither length nor content of the secret
// shows in the time it takes.
func (s Services) know(name, secret string) bool {
	want, listed := s[name]
	got := sha256.Sum256([]byte(secret))
	return subtle.ConstantTimeCompare(want[:], got[:]) == 1 && listed
}

package dnstest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/opsdeck/opsdeck/pkg/secret"
)

// schema is the file of Debian's package that makes the tables.
const schema = "/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql"

// PowerDNS is a private PowerDNS authoritative server on SQLite. Its caches are at their defaults.
type PowerDNS struct {
	process
	port, api int
	key       string
}

// CheckPowerDNS returns nil if the machine has what PowerDNS needs, else an error that says what to install.
func CheckPowerDNS() error {
	if _, err := os.Stat(schema); err != nil || binary("pdns_server") == "" || binary("sqlite3") == "" {
		return errors.New("PowerDNS is not installed: run apt-get install pdns-server pdns-backend-sqlite3 sqlite3")
	}
	return nil
}

// StartPowerDNS makes a server in an empty directory, which the server's user must be able to reach, and starts it. It returns when the
// server answers. The caller ends it with Stop or Kill; it dies with this process in any case.
func StartPowerDNS(ctx context.Context, dir string) (*PowerDNS, error) {
	if err := CheckPowerDNS(); err != nil {
		return nil, err
	}
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	p := &PowerDNS{port: ports[0], api: ports[1], key: rand.Text()}
	p.process = process{name: "pdns_server", dir: dir, args: []string{"--config-dir=" + dir}}
	if err := p.write(ctx); err != nil {
		return nil, err
	}
	if err := p.prepare("pdns"); err != nil {
		return nil, err
	}
	return p, p.Restart(ctx)
}

// write makes the database and the configuration.
func (p *PowerDNS) write(ctx context.Context) error {
	database := filepath.Join(p.dir, "pdns.sqlite3")
	if out, err := exec.CommandContext(ctx, binary("sqlite3"), database, ".read "+schema).CombinedOutput(); err != nil { //nolint:gosec // fixed program, our own paths
		return fmt.Errorf("make the database of PowerDNS: %w: %s", err, out)
	}
	config := PowerDNSConfig{
		Database: database, Listen: "127.0.0.1", Port: p.port, APIPort: p.api, APIKey: p.key,
		More: []string{"daemon=no", "guardian=no", "socket-dir=" + p.dir, "allow-axfr-ips=127.0.0.1", "loglevel=5"},
	}
	return os.WriteFile(filepath.Join(p.dir, "pdns.conf"), []byte(config.Text()), 0o600)
}

// Restart starts a stopped or killed server again, on the same ports and data. It returns when the server answers.
func (p *PowerDNS) Restart(ctx context.Context) error { return p.start(ctx, p.ready) }

func (p *PowerDNS) ready(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL()+"api/v1/servers/localhost", http.NoBody)
	if err != nil {
		return err
	}
	request.Header.Set("X-API-Key", p.key)
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	if err := response.Body.Close(); err != nil || response.StatusCode != http.StatusOK {
		return errors.Join(errors.New(response.Status), err)
	}
	return nil
}

// Stop ends the server in order.
func (p *PowerDNS) Stop() error { return p.stop() }

// Kill ends the server at once, as a crash would.
func (p *PowerDNS) Kill() error { return p.kill() }

// Addr returns host:port of DNS.
func (p *PowerDNS) Addr() string { return loopback(p.port) }

// URL returns the base URL of the API.
func (p *PowerDNS) URL() string { return "http://" + loopback(p.api) + "/" }

// APIKey returns the key of the API.
func (p *PowerDNS) APIKey() secret.Text { return secret.Text(p.key) }

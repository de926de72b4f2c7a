package dnstest

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/miekg/dns"

	"github.com/opsdeck/opsdeck/services/dns/internal/keyfile"
)

// Named is a private BIND server.
type Named struct {
	process
	port, control, statistics int
	update                    keyfile.Key
}

// CheckNamed returns nil if the machine has what Named needs, else an error that says what to install.
func CheckNamed() error {
	if binary("named") == "" {
		return errors.New("named is not installed: run apt-get install bind9")
	}
	return nil
}

// StartNamed makes a server in an empty directory, which the server's user must be able to reach, and starts it. It returns when the server
// answers. The caller ends it with Stop or Kill; it dies with this process in any case.
func StartNamed(ctx context.Context, dir string) (*Named, error) {
	if err := CheckNamed(); err != nil {
		return nil, err
	}
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	n := &Named{port: ports[0], control: ports[1], statistics: ports[2]}
	n.process = process{name: "named", dir: dir, args: []string{"-g", "-c", n.path(dir, "named.conf")}}
	if err := n.write(); err != nil {
		return nil, err
	}
	if err := n.prepare("bind"); err != nil {
		return nil, err
	}
	return n, n.Restart(ctx)
}

func (*Named) path(dir, name string) string { return filepath.Join(dir, name) }

// write writes keys and configuration.
func (n *Named) write() error {
	if err := os.MkdirAll(n.path(n.Zones(), "opsdeck"), 0o750); err != nil { // the agent's, but named must own it
		return err
	}
	n.update = newKey("opsdeck")
	config := NamedConfig{
		ControlKey: n.ControlKeyFile(), UpdateKey: n.UpdateKeyFile(), Directory: n.Zones(), Listen: "127.0.0.1",
		Port: n.port, ControlPort: n.control, StatisticsPort: n.statistics,
		More: []string{
			"pid-file none;", "lock-file none;", "listen-on-v6 { none; };", "empty-zones-enable no;", "notify no;",
			fmt.Sprintf("session-keyfile %q;", n.path(n.dir, "session.key")),
		},
	}
	for path, text := range map[string]string{
		n.ControlKeyFile(): keyfile.Format(newKey("rndc-key")), n.UpdateKeyFile(): keyfile.Format(n.update), n.path(n.dir, "named.conf"): config.Text(),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func newKey(name string) keyfile.Key {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails: it ends the process instead
	return keyfile.Key{Name: name + ".", Algorithm: dns.HmacSHA256, Secret: secret}
}

// Restart starts a stopped or killed server again, on the same ports and data. It returns when the server answers.
func (n *Named) Restart(ctx context.Context) error { return n.start(ctx, n.ready) }

// ready reports when all zones are loaded, which named tells its log only: before that it answers SERVFAIL for them.
func (n *Named) ready(context.Context) error {
	if !strings.Contains(n.logged(), " running\n") {
		return errors.New("named is not running yet")
	}
	return nil
}

// Stop ends the server in order.
func (n *Named) Stop() error { return n.stop() }

// Kill ends the server at once, as a crash would.
func (n *Named) Kill() error { return n.kill() }

// Addr returns host:port of DNS.
func (n *Named) Addr() string { return loopback(n.port) }

// ControlAddr returns host:port of the control channel.
func (n *Named) ControlAddr() string { return loopback(n.control) }

// StatisticsURL returns the address of the statistics channel.
func (n *Named) StatisticsURL() string { return "http://" + loopback(n.statistics) + "/" }

// Zones returns the server's working directory.
func (n *Named) Zones() string { return n.path(n.dir, "zones") }

// ControlKeyFile returns the path of the key of the control channel.
func (n *Named) ControlKeyFile() string { return n.path(n.dir, "rndc.key") }

// UpdateKeyFile returns the path of the TSIG key for updates and transfers.
func (n *Named) UpdateKeyFile() string { return n.path(n.dir, "opsdeck.key") }

// KeyName returns the name of the TSIG key, without a final dot.
func (n *Named) KeyName() string { return strings.TrimSuffix(n.update.Name, ".") }

// KeySecret returns the secret of the TSIG key, hmac-sha256, in base64.
func (n *Named) KeySecret() string { return base64.StdEncoding.EncodeToString(n.update.Secret) }

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

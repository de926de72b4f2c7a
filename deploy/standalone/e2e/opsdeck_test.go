package e2e

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/pkg/apitest"
)

// demoCaptcha is the answer to every captcha of the servers under test.
const demoCaptcha = "00036"

// startPatience bounds the start of a server on a busy machine, its database's included.
const startPatience = 3 * time.Minute

// transport is shared by all clients, so that its idle connections can be closed in one place.
var transport = http.DefaultTransport.(*http.Transport).Clone()

// opsdeck is a standalone opsdeck in a process of its own, and a client that is signed in to it.
type opsdeck struct {
	*process
	operator

	data, nats, admin, password string
	env                         []string
	out                         *output
}

// newOpsdeck starts a standalone in a fresh directory, with further settings, and signs in.
func newOpsdeck(t testing.TB, settings ...string) *opsdeck {
	t.Helper()
	o := prepareOpsdeck(t, scratch(t), settings...)
	t.Cleanup(func() {
		o.out.showOnFailure(t, "opsdeck")
		require.NoError(t, o.end())
	})
	o.start(t)
	o.login(t)
	return o
}

// prepareOpsdeck chooses everything about a standalone and does not start it.
func prepareOpsdeck(t testing.TB, dir string, settings ...string) *opsdeck {
	t.Helper()
	address := func() string { return fmt.Sprintf("127.0.0.1:%d", freePort(t)) }
	o := &opsdeck{data: filepath.Join(dir, "data"), nats: address(), admin: address(), password: rand.Text(), out: &output{}}
	o.operator = operator{address: address()}
	secret := filepath.Join(dir, "admin-password")
	require.NoError(t, os.WriteFile(secret, []byte(o.password), 0o600))
	o.env = append([]string{
		"OPSDECK_GATEWAY_ADDR=" + o.address,
		"OPSDECK_NATS_ADDR=" + o.nats,
		"OPSDECK_ADMIN_ADDR=" + o.admin,
		"OPSDECK_AUTH_ADMIN_PASSWORD_FILE=" + secret,
		"OPSDECK_AUTH_DEMO_CAPTCHA=" + demoCaptcha,
		"OPSDECK_AUTH_LOGINS_PER_MINUTE=100000",
		"OPSDECK_AUTH_CAPTCHAS_PER_MINUTE=100000",
	}, settings...)
	return o
}

// start runs the process, again after it has ended, on the same data and addresses.
func (o *opsdeck) start(t testing.TB) {
	t.Helper()
	o.process = launch(t, o.out, opsdeckProgram, o.env, "standalone", "--data", o.data)
	await(t, startPatience, "opsdeck to be ready", func(ctx context.Context) error {
		if !o.running() {
			return permanentError{fmt.Errorf("it has ended: %v", o.cmd.ProcessState)}
		}
		return o.ready(ctx)
	})
	o.loadDocument(t)
}

// login signs in as platform/admin through the two documented calls.
func (o *opsdeck) login(t testing.TB) {
	t.Helper()
	o.token = o.signIn(t, "platform", "admin", o.password)
}

// end stops what is left of the standalone, with the database that it has started. It is for clean-up.
func (o *opsdeck) end() error {
	if o.process == nil || !o.running() {
		return nil
	}
	err := o.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-o.exited:
		return err
	case <-time.After(stopPatience):
	}
	return errors.Join(err, o.process.end(), fmt.Errorf("opsdeck did not stop within %v of SIGTERM", stopPatience))
}

// secret reads a secret that standalone has made in its data directory.
func (o *opsdeck) secret(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(o.data, "secrets", name))
	require.NoError(t, err)
	return strings.TrimSpace(string(text))
}

// worker starts a worker node in a process of its own beside a standalone without one, with further settings.
func (o *opsdeck) worker(t testing.TB, out *output, settings ...string) *process {
	t.Helper()
	socket := func(name string) string { return "unix://" + filepath.Join(o.data, "run", name) }
	secret := func(name string) string { return filepath.Join(o.data, "secrets", name) }
	return launch(t, out, workerProgram, append([]string{
		"OPSDECK_ADMIN_ADDR=127.0.0.1:0",
		"OPSDECK_WORKER_AUTH_ADDR=" + socket("auth"),
		"OPSDECK_WORKER_MANAGER_ADDR=" + socket("replication"),
		"OPSDECK_WORKER_SECRET_FILE=" + secret("replication-worker"),
		"OPSDECK_WORKER_DATA=" + filepath.Join(filepath.Dir(o.data), "worker"),
		"OPSDECK_WORKER_NATS_URL=nats://" + o.nats,
		"OPSDECK_WORKER_NATS_USER=nats-worker",
		"OPSDECK_WORKER_NATS_PASSWORD_FILE=" + secret("nats-worker"),
	}, settings...))
}

// shared is the standalone of the tests that do it no harm.
var shared struct {
	once sync.Once
	dir  string
	*opsdeck
}

// sharedOpsdeck returns it, started on first use.
func sharedOpsdeck(t testing.TB) *opsdeck {
	t.Helper()
	shared.once.Do(func() {
		dir, err := os.MkdirTemp("", "ops-")
		require.NoError(t, err)
		shared.dir = dir
		require.NoError(t, os.Chmod(dir, 0o711)) // the database runs as another user and passes through
		o := prepareOpsdeck(t, dir)
		o.start(t)
		o.login(t)
		shared.opsdeck = o
	})
	require.NotNil(t, shared.opsdeck, "the shared opsdeck did not start; the test that needed it first says why")
	t.Cleanup(func() { shared.out.showOnFailure(t, "the shared opsdeck") })
	return shared.opsdeck
}

// endShared ends what the tests shared.
func endShared() error {
	var errs []error
	if shared.opsdeck != nil {
		errs = append(errs, shared.end())
	}
	if shared.dir != "" {
		errs = append(errs, os.RemoveAll(shared.dir))
	}
	return errors.Join(append(errs, endPair())...)
}

// runner runs cases against the server, as admin or nobody, and holds every answer against the served document.
func (o *opsdeck) runner() apitest.Runner {
	return apitest.Runner{
		BaseURL: "http://" + o.address, Client: httpClient, Check: o.checkAnswer,
		Tokens: map[string]string{"admin": o.token},
	}
}

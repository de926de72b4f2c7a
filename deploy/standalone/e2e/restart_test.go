package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/pkg/apitest"
)

// stopPatience is longer than the longest drain.
const stopPatience = 2 * time.Minute

// What was there before a stop or a crash is there afterwards: jobs, users, sessions, events.
func TestRestartKeepsEverything(t *testing.T) {
	t.Parallel()
	o, p, schema := newOpsdeck(t), sharedPair(t), newSchema()
	p.source.load(t, schema, 1000)
	job := o.create(t, p.job("kept-"+schema, schema))
	paused := o.create(t, p.job("paused-"+schema, newSchema()))
	o.order(t, "pause", paused)
	o.awaitCaughtUp(t, job)
	before := o.jobs(t)
	require.Len(t, before, 2)
	user := o.do(t, apitest.HTTP{Method: "GET", Path: "/v2/user/current_user"}).Body

	for i, end := range []func(){
		func() { require.NoError(t, o.terminate(t, stopPatience)) },
		func() { o.kill9(t) },
	} {
		end()
		if i == 0 {
			require.Empty(t, processesBelow(t, o.data), "nothing is left of a standalone that was told to stop")
		}
		o.start(t)
		require.Equal(t, before, o.jobs(t))
		require.Equal(t, string(user), string(o.do(t, apitest.HTTP{Method: "GET", Path: "/v2/user/current_user"}).Body), "the session lives on")
		o.login(t)
		require.Equal(t, "paused", o.detail(t, paused).status())
		p.source.exec(t, addRow(schema, 2000+i))
		p.awaitSame(t, schema)
		o.awaitStatus(t, job, "running")
	}
	require.Contains(t, o.eventTypes(t), "opsdeck.replication.job.created", "the stream has kept its events")
	o.order(t, "delete", job)
	o.order(t, "delete", paused)
}

// jobs returns every migration job with its time of creation.
func (c *operator) jobs(t testing.TB) map[string]string {
	t.Helper()
	var answer struct {
		Jobs []struct {
			ID      string `json:"job_id"`
			Created string `json:"job_create_time"`
		} `json:"jobs"`
	}
	c.ok(t, apitest.HTTP{Method: "GET", Path: "/v2/jobs/migration"}, &answer)
	found := map[string]string{}
	for _, job := range answer.Jobs {
		found[job.ID] = job.Created
	}
	return found
}

// processesBelow returns the processes that work in a directory or name it in their arguments.
func processesBelow(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := filepath.Glob("/proc/[0-9]*")
	require.NoError(t, err)
	require.NotEmpty(t, entries)
	var found []string
	for _, entry := range entries {
		arguments, err := os.ReadFile(filepath.Join(entry, "cmdline"))
		if err != nil {
			continue // has ended
		}
		where, _ := os.Readlink(filepath.Join(entry, "cwd")) // a zombie has none
		if strings.Contains(string(arguments), dir) || strings.HasPrefix(where, dir) {
			found = append(found, filepath.Base(entry)+" "+strings.ReplaceAll(string(arguments), "\x00", " "))
		}
	}
	return found
}

func TestSecondStandaloneIsRefused(t *testing.T) {
	t.Parallel()
	o := sharedOpsdeck(t)
	require.NotEmpty(t, processesBelow(t, o.data), "the search for processes finds those of a running standalone")
	ctx, cancel := context.WithTimeout(t.Context(), stopPatience)
	defer cancel()
	second := exec.CommandContext(ctx, opsdeckProgram, "standalone", "--data", o.data)
	second.Env = append(hermetic(), "OPSDECK_GATEWAY_ADDR=127.0.0.1:0", "OPSDECK_NATS_ADDR=127.0.0.1:0", "OPSDECK_ADMIN_ADDR=127.0.0.1:0")
	text, err := second.CombinedOutput()
	var failed *exec.ExitError
	require.ErrorAs(t, err, &failed, "%s", text)
	require.NoError(t, ctx.Err(), "it gives up at once")
	require.Contains(t, string(text), fmt.Sprintf("process %d ", o.pid()))
	require.Contains(t, string(text), o.data)
	require.NoError(t, o.ready(t.Context()), "the first one is not disturbed")
}

// A stop answers the calls under way, and takes no new ones.
func TestStopDrains(t *testing.T) {
	t.Parallel()
	o := newOpsdeck(t)
	calls := make(chan error)
	go func() {
		defer close(calls)
		for o.running() {
			request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+o.address+"/v2/nodes", nil)
			if err != nil {
				calls <- err
				return
			}
			request.Header.Set("Authorization", o.token)
			response, err := httpClient.Do(request)
			if err != nil {
				return // the port is closed
			}
			if response.StatusCode != http.StatusOK {
				calls <- fmt.Errorf("a call during the stop was answered with %s", response.Status)
			}
			_ = response.Body.Close() // of no interest
			calls <- nil
		}
	}()
	for range 20 {
		require.NoError(t, <-calls)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- o.terminate(t, stopPatience) }()
	for err := range calls {
		require.NoError(t, err)
	}
	require.NoError(t, <-stopped)
	require.Empty(t, processesBelow(t, o.data))
}

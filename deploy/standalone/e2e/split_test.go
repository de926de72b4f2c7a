package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/pkg/apitest"
)

// knot is a worker node in a process of its own.
type knot struct {
	name, id string
	o        *opsdeck
	settings []string
	out      *output
	*process
}

// newKnot starts a node, which is to reach NATS at an address.
func newKnot(t *testing.T, o *opsdeck, name, nats string, settings ...string) *knot {
	t.Helper()
	n := &knot{name: name, o: o, out: &output{}, settings: append([]string{
		"OPSDECK_WORKER_NAME=" + name, "OPSDECK_WORKER_NATS_URL=nats://" + nats,
		"OPSDECK_WORKER_DATA=" + filepath.Join(filepath.Dir(o.data), "worker-"+name),
	}, settings...)}
	t.Cleanup(func() {
		n.out.showOnFailure(t, "the node "+name)
		require.NoError(t, n.end())
	})
	n.revive(t)
	var answer struct {
		Nodes []struct {
			Name string `json:"node_name"`
			ID   string `json:"node_id"`
		} `json:"nodes"`
	}
	await(t, patience, "the node "+name, func(context.Context) error {
		o.ok(t, apitest.HTTP{Method: "GET", Path: "/v2/nodes"}, &answer)
		for _, seen := range answer.Nodes {
			if seen.Name == name {
				n.id = seen.ID
				return nil
			}
		}
		return fmt.Errorf("there are %+v", answer.Nodes)
	})
	return n
}

func (n *knot) revive(t testing.TB) {
	t.Helper()
	n.process = n.o.worker(t, n.out, n.settings...)
}

// sides are the nodes of a job's ends.
func (c *operator) sides(t testing.TB, job string) string {
	t.Helper()
	var names []string
	for _, node := range c.detail(t, job).Profile.Nodes {
		names = append(names, node.Source+" "+node.ID)
	}
	return strings.Join(names, ", ")
}

// carried is what the figures of a source's end on a node of its own say beyond those of others.
type carried struct {
	Connections int64  `json:"connections"`
	Read        int64  `json:"read_bytes"`
	Written     int64  `json:"written_bytes"`
	Sent        int64  `json:"sent_bytes"`
	Received    int64  `json:"received_bytes"`
	Error       string `json:"error"`
}

// carries returns the figures of the newest source's end of a job.
func (c *operator) carries(t testing.TB, job string) (carried, int64) {
	t.Helper()
	var allocation string
	for _, log := range c.detail(t, job).Logs {
		if log.Target == "src" {
			allocation = log.Allocation // older ones come first
		}
	}
	var answer struct {
		Status struct {
			Tunnel   carried `json:"tunnel"`
			Messages struct {
				Out int64 `json:"out_bytes"`
			} `json:"nats_message_status"`
		} `json:"tasks_status"`
	}
	c.ok(t, apitest.HTTP{Method: "GET", Path: "/v2/monitor/task?task_name=src&allocation_id=" + allocation}, &answer)
	return answer.Status.Tunnel, answer.Status.Messages.Out
}

// The source is reached by a socket that only one node lets jobs use, and the other one runs the job. What is killed between them comes back,
// and the job goes on.
func TestEndsOnTwoNodes(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("kills processes for a minute or two")
	}
	t.Logf("the moments come from %s=%d", seedSetting, seed(t))
	random := rand.New(rand.NewPCG(seed(t), 17))
	o, p, schema := newOpsdeck(t, noWorker), newPair(t), newSchema()
	network := startProxy(t, freePort(t), o.nats)
	address := fmt.Sprintf("127.0.0.1:%d", network.port)
	socket := p.source.socket(t)
	far := newKnot(t, o, "far", address, "OPSDECK_WORKER_SOCKET_DIRS="+filepath.Dir(socket))
	near := newKnot(t, o, "near", address)
	apart, together := "src "+far.id+", dst "+near.id, "src "+near.id+", dst "+near.id

	p.source.load(t, schema, bigRows)
	w := startWriter(t, p.source, schema, random.Uint64())
	wish := with(with(p.job("split-"+schema, schema), "chunk_size", chunk), "node_id", far.id)
	wish["dest_task"].(object)["node_id"] = near.id
	wish["src_task"].(object)["mysql_connection_config"].(object)["mysql_socket"] = socket
	job := o.create(t, wish)
	b := battlefield{o: o, p: p}
	b.awaitProgress(t, job, schema, w, 2000+random.Int64N(4000))
	require.Equal(t, apart, o.sides(t, job))
	await(t, patience, "figures of the source's end", func(context.Context) error {
		c, out := o.carries(t, job)
		if c.Connections == 0 || c.Read < 100_000 || c.Sent < 10_000 || c.Received == 0 || c.Written == 0 || c.Error != "" || out < c.Sent {
			return fmt.Errorf("it is %+v, and the node has sent %d bytes", c, out)
		}
		return nil
	})
	for _, victim := range []struct {
		name         string
		kill, revive func(testing.TB)
	}{
		{"the source's node", func(t testing.TB) { far.kill9(t) }, far.revive},
		{"the target's node", func(t testing.TB) { near.kill9(t) }, near.revive},
		{"the network to NATS", func(t testing.TB) {
			network.drop()
			o.awaitTrouble(t, job, "NATS")
		}, func(testing.TB) { network.heal() }},
		{"NATS and the manager", func(t testing.TB) { o.kill9(t) }, func(t testing.TB) { o.start(t) }},
	} {
		t.Logf("killing %s", victim.name)
		victim.kill(t)
		victim.revive(t)
		b.awaitProgress(t, job, schema, w, 2000+random.Int64N(4000))
		require.Equal(t, apart, o.sides(t, job), victim.name)
	}

	t.Log("the source's node is away for longer than the lease: the other one takes its place, and cannot fill it")
	far.kill9(t)
	o.awaitTrouble(t, job, "this worker node lets no job use the socket "+socket)
	require.Equal(t, together, o.sides(t, job))
	far.revive(t)
	await(t, patience, "the source's end to go back", func(context.Context) error {
		if got := o.sides(t, job); got != apart {
			return fmt.Errorf("they are %s", got)
		}
		return nil
	})
	b.awaitProgress(t, job, schema, w, 2000)
	o.awaitStep(t, job, "job_stage_full", "finished", 100)
	w.stop()
	p.awaitSame(t, schema)
	v, found := o.verify(t, object{"job_id": job})
	require.Empty(t, found)
	require.Greater(t, v.Rows, int64(bigRows))
}

// socket is the path of the server's socket, by which its administrator may come from now on.
func (d *database) socket(t testing.TB) string {
	t.Helper()
	d.exec(t, fmt.Sprintf("CREATE USER '%s'@'localhost' IDENTIFIED BY '%s'", d.User(), d.Password()),
		fmt.Sprintf("GRANT ALL PRIVILEGES ON *.* TO '%s'@'localhost'", d.User()))
	var path string
	await(t, patience, "the path of the socket", func(ctx context.Context) error {
		conn, err := d.Connect(ctx, "mysql")
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }() // nothing was written
		r, err := conn.Execute("SELECT @@GLOBAL.socket")
		if err != nil {
			return err
		}
		path, err = r.GetString(0, 0)
		return err
	})
	return path
}

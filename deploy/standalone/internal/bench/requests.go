package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/deploy/standalone/internal/operator"
	"github.com/opsdeck/opsdeck/deploy/standalone/internal/stage"
	"github.com/opsdeck/opsdeck/pkg/pg"
	"github.com/opsdeck/opsdeck/pkg/rpc"
)

const (
	listedJobs  = 50
	roundLength = 3 * time.Second
)

// listSQL is what the replication service runs for GET /v2/jobs/migration, so that the bare handler does the same work.
const listSQL = `
	SELECT id, source_host, target_host, tenant, owner, step, status, stage, copied_percent, delay, backlog, create_time
	FROM replication.jobs WHERE type = $1 ORDER BY id LIMIT $2`

// requests compares GET /v2/jobs/migration through the gateway with the same RPC and with a bare handler.
func requests(ctx context.Context, out io.Writer, opsdeck *operator.Client, on *stage.Stage) error {
	for i := range listedJobs {
		id, err := opsdeck.CreateJob(ctx, operator.Job{
			Name: fmt.Sprintf("listed%02d", i), Steps: "all", Schemas: []string{"bench"}, Writers: 1,
			Source: operator.Instance{Host: "127.0.0.1", Port: 1, User: "nobody", Password: "nothing"},
			Target: operator.Instance{Host: "127.0.0.1", Port: 2, User: "nobody", Password: "nothing"},
		})
		if err != nil {
			return err
		}
		if err := opsdeck.Order(ctx, "pause", id); err != nil {
			return err
		}
	}
	conn, err := rpc.Dial(rpc.ClientConfig{Target: "unix://" + filepath.Join(on.Data, "run", "replication"), MaxMessage: 4 << 20})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // the process ends soon
	direct := replicationv1.NewJobServiceClient(conn)
	bare, stop, err := bareHandler(ctx, on.Data)
	if err != nil {
		return err
	}
	defer stop()
	browser := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers}}
	calls := []func(context.Context) error{
		func(ctx context.Context) error {
			return get(ctx, browser, "http://"+on.Address+"/v2/jobs/migration", opsdeck.Token)
		},
		func(ctx context.Context) error {
			ctx = rpc.WithCall(ctx, rpc.Call{RequestID: "bench"}.WithToken(opsdeck.Token))
			answer, err := direct.ListJobs(ctx, &replicationv1.ListJobsRequest{JobType: "migration"})
			if err == nil && len(answer.GetJobs()) < listedJobs {
				return fmt.Errorf("the list has %d jobs, want %d", len(answer.GetJobs()), listedJobs)
			}
			return err
		},
		func(ctx context.Context) error { return get(ctx, browser, bare, "") },
	}
	arms := []arm{{name: "gateway, HTTP"}, {name: "the same RPC, gRPC"}, {name: "bare net/http + pgx"}}
	if err := interleave(ctx, arms, calls); err != nil {
		return err
	}
	report(out, fmt.Sprintf("GET /v2/jobs/migration, %d jobs, %d callers", listedJobs, callers), "requests/s", arms)
	return nil
}

// get reads an answer and checks that it lists the jobs.
func get(ctx context.Context, browser *http.Client, url, token string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	if token != "" {
		request.Header.Set("Authorization", token)
	}
	response, err := browser.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }() // read to its end below
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if n := strings.Count(string(text), `"job_id"`); response.StatusCode != http.StatusOK || n < listedJobs {
		return fmt.Errorf("%s: %s with %d jobs", url, response.Status, n)
	}
	return nil
}

// listed is a row of the bare handler's answer.
type listed struct {
	ID         string    `json:"job_id"`
	SourceHost string    `json:"src_addr"`
	TargetHost string    `json:"dst_addr"`
	Tenant     string    `json:"tenant"`
	Owner      string    `json:"owner"`
	Step       string    `json:"step"`
	Status     string    `json:"job_status"`
	Stage      string    `json:"stage"`
	Copied     float64   `json:"copied"`
	Delay      int64     `json:"delay"`
	Backlog    int64     `json:"backlog"`
	Created    time.Time `json:"job_create_time"`
}

// bareHandler serves the same rows with nothing around them: no gateway, no gRPC, no token, no log.
func bareHandler(ctx context.Context, data string) (string, func(), error) {
	url, err := databaseURL(data, "replication")
	if err != nil {
		return "", nil, err
	}
	pool, err := pg.Open(ctx, url, pg.Options{Application: "bench"})
	if err != nil {
		return "", nil, err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: listHandler(pool), ReadHeaderTimeout: time.Second}
	go func() { _ = server.Serve(listener) }() // returns when stop closes it
	return "http://" + listener.Addr().String(), func() {
		_ = server.Close()
		pool.Close()
	}, nil
}

// databaseURL is where a service of a standalone keeps its state.
func databaseURL(data, service string) (string, error) {
	url, err := os.ReadFile(filepath.Join(data, "secrets", "database."+service)) //nolint:gosec // our own data directory
	return string(url), err
}

func listHandler(pool *pgxpool.Pool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		rows, _ := pool.Query(r.Context(), listSQL, "migration", 10_000) // CollectRows returns its error
		jobs, err := pgx.CollectRows(rows, pgx.RowToStructByPos[listed])
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"jobs": jobs}) // a client that went away is no failure of the handler
	}
}

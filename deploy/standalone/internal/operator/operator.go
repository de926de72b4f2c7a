// Package operator calls opsdeck the way an operator's script does: over HTTP only.
package operator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/opsdeck/opsdeck/deploy/standalone/internal/client"
)

// Client is an operator at work.
type Client struct {
	Token string // of the session, after Login

	base *url.URL
	http *http.Client
	api  *client.Client
}

// New returns an operator of the opsdeck at an address (host:port).
func New(address string) *Client {
	c := &Client{base: &url.URL{Scheme: "http", Host: address}, http: &http.Client{Timeout: 30 * time.Second}}
	c.api = client.New(c.base, func(context.Context) (string, error) { return c.Token, nil })
	return c
}

// Ready reports whether the gateway and everything behind it can work.
func (c *Client) Ready(ctx context.Context) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base.JoinPath("readyz").String(), nil)
	if err != nil {
		return false
	}
	response, err := c.http.Do(request)
	if err != nil {
		return false
	}
	_ = response.Body.Close() // its content does not matter
	return response.StatusCode < http.StatusMultipleChoices
}

// get asks for what is at a path, and reads the JSON of the answer into answer.
func (c *Client) get(ctx context.Context, path string, query url.Values, answer any) error {
	text, err := c.api.Get(ctx, path, query)
	return errors.Join(err, read(text, answer))
}

// post sends body as JSON, and reads that of the answer into answer.
func (c *Client) post(ctx context.Context, path string, body, answer any) error {
	text, err := c.api.Post(ctx, path, body)
	return errors.Join(err, read(text, answer))
}

func read(text json.RawMessage, answer any) error {
	if text == nil {
		return nil
	}
	return json.Unmarshal(text, answer)
}

// Login goes through the documented two calls as platform/admin.
func (c *Client) Login(ctx context.Context, captcha, password string) error {
	var picture struct {
		ID string `json:"id"`
	}
	if err := c.get(ctx, "/v2/login/captcha", nil, &picture); err != nil {
		return err
	}
	var opened struct {
		Data struct {
			Token string `json:"token"`
		} `json:"data"`
	}
	err := c.post(ctx, "/v2/login", map[string]string{
		"tenant": "platform", "username": "admin", "password": password, "captcha_id": picture.ID, "captcha": captcha,
	}, &opened)
	c.Token = opened.Data.Token
	return err
}

// Instance is a MySQL or MariaDB server, in the contract's words.
type Instance struct {
	Host     string `json:"mysql_host"`
	Port     uint16 `json:"mysql_port"`
	User     string `json:"mysql_user"`
	Password string `json:"mysql_password"`
}

// Job is what an operator asks for.
type Job struct {
	Name           string
	Steps          string // job_stage_full, job_stage_incr or all
	Source, Target Instance
	Schemas        []string
	Writers        int // parallel_workers
}

// CreateJob creates a migration job and returns its full id.
func (c *Client) CreateJob(ctx context.Context, job Job) (string, error) {
	schemas := []any{}
	for _, name := range job.Schemas {
		schemas = append(schemas, map[string]any{"table_schema": name})
	}
	var created struct {
		Job struct {
			ID string `json:"job_id"`
		} `json:"job"`
	}
	err := c.post(ctx, "/v2/job/migration/create", map[string]any{
		"job_id": job.Name, "task_step_name": job.Steps,
		"src_task":  map[string]any{"task_name": "src", "mysql_connection_config": job.Source, "replicate_do_db": schemas},
		"dest_task": map[string]any{"task_name": "dest", "mysql_connection_config": job.Target, "parallel_workers": job.Writers},
	}, &created)
	return created.Job.ID, err
}

// Order pauses, resumes or deletes a migration job.
func (c *Client) Order(ctx context.Context, order, id string) error {
	var answer any
	return c.post(ctx, "/v2/job/migration/"+order, map[string]string{"job_id": id}, &answer)
}

// Detail is what an operator looks at in a job's detail.
type Detail struct {
	Profile struct {
		Base struct {
			Status string `json:"job_status"`
			Delay  int64  `json:"delay"`
			Steps  []Step `json:"job_steps"`
		} `json:"job_base_info"`
	} `json:"basic_task_profile"`
	Logs []struct {
		Events []struct {
			Type    string `json:"event_type"`
			Message string `json:"message"`
		} `json:"task_events"`
		Allocation string `json:"allocation_id"`
		Target     string `json:"target"`
	} `json:"task_logs"`
}

// Step is a step of a job; Schedule is its progress in percent.
type Step struct {
	Name     string  `json:"step_name"`
	Status   string  `json:"step_status"`
	Schedule float64 `json:"step_schedule"`
}

// Detail returns the detail of a migration job.
func (c *Client) Detail(ctx context.Context, id string) (Detail, error) {
	var d Detail
	err := c.get(ctx, "/v2/job/migration/detail", url.Values{"job_id": {id}}, &d)
	return d, err
}

// Figures are the live figures of a task.
type Figures struct {
	Status struct {
		Stage        string `json:"stage"`
		ETA          string `json:"ETA"`
		Rows         int64  `json:"exec_master_row_count"`
		Transactions int64  `json:"exec_master_tx_count"`
		Coordinates  *struct {
			GTIDSet string `json:"gtid_set"`
		} `json:"current_coordinates"`
	} `json:"tasks_status"`
}

// Position returns the GTID set that the target has applied; empty while it is not known.
func (f Figures) Position() string {
	if f.Status.Coordinates == nil {
		return ""
	}
	return f.Status.Coordinates.GTIDSet
}

// Look returns the detail of a migration job and the figures of its newest writing task.
func (c *Client) Look(ctx context.Context, id string) (Detail, Figures, error) {
	d, err := c.Detail(ctx, id)
	if err != nil {
		return d, Figures{}, err
	}
	var f Figures
	for _, log := range d.Logs {
		if log.Target != "dst" {
			continue
		}
		f = Figures{}
		if err := c.get(ctx, "/v2/monitor/task", url.Values{"task_name": {"dest"}, "allocation_id": {log.Allocation}}, &f); err != nil {
			return d, f, err
		}
	}
	return d, f, nil
}

// Await asks ten times a second until the answer is yes or an error, at most for patience.
func Await(ctx context.Context, what string, patience time.Duration, ask func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("gave up waiting for %s after %v", what, patience))
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		done, err := ask(ctx)
		if done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// Package operator calls opsdeck the way an operator's script does: over HTTP only.
package operator

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Client is an operator at work.
type Client struct {
	base  string
	Token string // of the session, after Login
	http  *http.Client
}

// New returns an operator of the opsdeck at an address (host:port).
func New(address string) *Client {
	return &Client{base: "http://" + address, http: &http.Client{Timeout: 30 * time.Second}}
}

// Ready reports whether the gateway and everything behind it can work.
func (c *Client) Ready(ctx context.Context) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/readyz", nil)
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

// call sends a request with a JSON body (none when nil) and reads the answer into answer. A status other than 200 is an error
// that carries the server's message.
func (c *Client) call(ctx context.Context, method, path string, body, answer any) error {
	var payload io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		payload = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, payload)
	if err != nil {
		return err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.Token != "" {
		request.Header.Set("Authorization", c.Token)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }() // read to its end below
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s: %s", method, path, response.Status, text)
	}
	return json.Unmarshal(text, answer)
}

// Login goes through the documented two calls as platform/admin.
func (c *Client) Login(ctx context.Context, captcha, password string) error {
	var picture struct {
		ID string `json:"id"`
	}
	if err := c.call(ctx, http.MethodGet, "/v2/login/captcha", nil, &picture); err != nil {
		return err
	}
	var opened struct {
		Data struct {
			Token string `json:"token"`
		} `json:"data"`
	}
	err := c.call(ctx, http.MethodPost, "/v2/login", map[string]string{
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
	err := c.call(ctx, http.MethodPost, "/v2/job/migration/create", map[string]any{
		"job_id": job.Name, "task_step_name": job.Steps,
		"src_task":  map[string]any{"task_name": "src", "mysql_connection_config": job.Source, "replicate_do_db": schemas},
		"dest_task": map[string]any{"task_name": "dest", "mysql_connection_config": job.Target, "parallel_workers": job.Writers},
	}, &created)
	return created.Job.ID, err
}

// Order pauses, resumes or deletes a migration job.
func (c *Client) Order(ctx context.Context, order, id string) error {
	var answer any
	return c.call(ctx, http.MethodPost, "/v2/job/migration/"+order, map[string]string{"job_id": id}, &answer)
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
	err := c.call(ctx, http.MethodGet, "/v2/job/migration/detail?job_id="+url.QueryEscape(id), nil, &d)
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
		if err := c.call(ctx, http.MethodGet, "/v2/monitor/task?task_name=dest&allocation_id="+url.QueryEscape(log.Allocation), nil, &f); err != nil {
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

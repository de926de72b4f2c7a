package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/pkg/apitest"
)

var httpClient = &http.Client{Transport: transport, Timeout: 40 * time.Second}

// operator speaks to one opsdeck over HTTP as one user.
type operator struct {
	address, token string
	document       *document
}

// ready asks the gateway whether everything behind it can work.
func (c *operator) ready(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.address+"/readyz", nil)
	if err != nil {
		return permanentError{err}
	}
	response, err := httpClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }() // its content does not matter
	if response.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("readyz: %s", response.Status)
	}
	return nil
}

// do sends a request with the client's token and holds the answer against the served document.
func (c *operator) do(t testing.TB, h apitest.HTTP) apitest.Answer {
	t.Helper()
	r := apitest.Runner{BaseURL: "http://" + c.address, Client: httpClient, Tokens: map[string]string{"me": c.token}}
	answer := r.Do(t, "me", h)
	c.checkAnswer(t, answer)
	return answer
}

// ok sends a request that must succeed and decodes the answer.
func (c *operator) ok(t testing.TB, h apitest.HTTP, into any) {
	t.Helper()
	answer := c.do(t, h)
	require.Equal(t, http.StatusOK, answer.Status, "%s %s: %s", h.Method, h.Path, answer.Body)
	require.NoError(t, json.Unmarshal(answer.Body, into), "%s", answer.Body)
}

// captcha asks for a captcha and returns its id.
func (c *operator) captcha(t testing.TB) string {
	t.Helper()
	var picture struct {
		ID string `json:"id"`
	}
	c.ok(t, apitest.HTTP{Method: "GET", Path: "/v2/login/captcha"}, &picture)
	return picture.ID
}

// signIn returns the token of a fresh session.
func (c *operator) signIn(t testing.TB, tenant, username, password string) string {
	t.Helper()
	var opened struct {
		Data struct {
			Token string `json:"token"`
		} `json:"data"`
	}
	c.ok(t, apitest.HTTP{Method: "POST", Path: "/v2/login", JSON: map[string]string{
		"tenant": tenant, "username": username, "password": password, "captcha_id": c.captcha(t), "captcha": demoCaptcha,
	}}, &opened)
	return opened.Data.Token
}

// order pauses, resumes or deletes a job.
func (c *operator) order(t testing.TB, order, job string) {
	t.Helper()
	var answer struct {
		Message string `json:"message"`
	}
	c.ok(t, apitest.HTTP{Method: "POST", Path: "/v2/job/migration/" + order, Form: map[string]string{"job_id": job}}, &answer)
	require.Equal(t, "ok", answer.Message)
}

// detail is what the tests look at in a job's detail.
type detail struct {
	Profile struct {
		Base struct {
			Status string `json:"job_status"`
			Delay  int64  `json:"delay"`
			Steps  []struct {
				Name     string  `json:"step_name"`
				Status   string  `json:"step_status"`
				Schedule float64 `json:"step_schedule"`
			} `json:"job_steps"`
		} `json:"job_base_info"`
		Nodes []struct {
			ID     string `json:"node_id"`
			Source string `json:"source"`
		} `json:"dtle_node_infos"`
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

func (d detail) status() string { return d.Profile.Base.Status }

// step returns status and progress of a step; nothing when the job has no such step.
func (d detail) step(name string) (status string, schedule float64) {
	for _, step := range d.Profile.Base.Steps {
		if step.Name == name {
			return step.Status, step.Schedule
		}
	}
	return "", 0
}

// messages returns every event of the job as "side type: message".
func (d detail) messages() []string {
	var all []string
	for _, log := range d.Logs {
		for _, event := range log.Events {
			all = append(all, log.Target+" "+event.Type+": "+event.Message)
		}
	}
	return all
}

func (c *operator) detail(t testing.TB, job string) detail {
	t.Helper()
	var d detail
	c.ok(t, apitest.HTTP{Method: "GET", Path: "/v2/job/migration/detail", Query: map[string]string{"job_id": job}}, &d)
	return d
}

// awaitStatus waits until a job has a status.
func (c *operator) awaitStatus(t testing.TB, job, status string) detail {
	t.Helper()
	var d detail
	await(t, patience, job+" to be "+status, func(context.Context) error {
		if d = c.detail(t, job); d.status() != status {
			return fmt.Errorf("it is %s; events: %q", d.status(), d.messages())
		}
		return nil
	})
	return d
}

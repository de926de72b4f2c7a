package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/deploy/standalone/internal/client"
)

// Detail returns all about a job, also as the API has it.
func Detail(ctx context.Context, c *client.Client, j Job) (*replicationv1.GetJobResponse, json.RawMessage, error) {
	text, err := c.Get(ctx, "/v2/job/"+j.Type+"/detail", url.Values{"job_id": {j.ID}})
	if err != nil {
		return nil, nil, err
	}
	d := &replicationv1.GetJobResponse{}
	return d, text, read(text, d)
}

// Figures returns the live figures of the newest writing task of a job; nil when there is none.
func Figures(ctx context.Context, c *client.Client, d *replicationv1.GetJobResponse) (*replicationv1.TaskStatus, error) {
	allocation := ""
	for _, l := range d.GetTaskLogs() {
		if l.GetTarget() == "dst" {
			allocation = l.GetAllocationId()
		}
	}
	if allocation == "" {
		return nil, nil //nolint:nilnil // there are none
	}
	text, err := c.Get(ctx, "/v2/monitor/task", url.Values{"allocation_id": {allocation}, "task_name": {"dest"}})
	var refused *client.Refused
	if errors.As(err, &refused) && refused.Status == http.StatusNotFound {
		return nil, nil //nolint:nilnil // the task was forgotten since
	}
	if err != nil {
		return nil, err
	}
	figures := &replicationv1.GetTaskStatusResponse{}
	err = read(text, figures)
	return figures.GetTasksStatus(), err
}

// Order tells opsdeck to do something with a job: pause, resume, delete, reverse, reverse_start, ddl, full_copy. with has what the call
// takes besides the job.
func Order(ctx context.Context, c *client.Client, j Job, order string, with map[string]any) error {
	body := map[string]any{"job_id": j.ID}
	for name, value := range with {
		body[name] = value
	}
	_, err := c.Post(ctx, "/v2/job/"+j.Type+"/"+order, body)
	return err
}

// Put creates or updates ("create", "update") a job and returns what it is now, also as the API has it.
func Put(ctx context.Context, c *client.Client, order string, cfg Config) (Job, json.RawMessage, error) {
	text, err := c.Post(ctx, "/v2/job/"+cfg.Type+"/"+order, cfg.JSON)
	if err != nil {
		return Job{}, nil, err
	}
	var made struct {
		Job struct {
			ID string `json:"job_id"`
		} `json:"job"`
	}
	err = json.Unmarshal(text, &made)
	return Job{cfg.Type, made.Job.ID}, text, err
}

// Validate returns what would stop a job, also as the API has it.
func Validate(ctx context.Context, c *client.Client, cfg Config) (*replicationv1.ValidateJobResponse, json.RawMessage, error) {
	text, err := c.Post(ctx, "/v2/validation/job", cfg.JSON)
	if err != nil {
		return nil, nil, err
	}
	v := &replicationv1.ValidateJobResponse{}
	return v, text, read(text, v)
}

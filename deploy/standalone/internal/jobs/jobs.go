// Package jobs is what the API of a running opsdeck knows of replication jobs, for who works at a terminal.
package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/deploy/standalone/internal/client"
)

// The types of jobs.
const (
	Migration    = "migration"
	Sync         = "sync"
	Subscription = "subscription"
)

// Types are all types of jobs.
var Types = []string{Migration, Sync, Subscription}

// Job names a job.
type Job struct{ Type, ID string }

// typeOf returns the type that a full id ends with, "" if it is no full id.
func typeOf(id string) string {
	for _, t := range Types {
		if strings.HasSuffix(id, "-"+t) {
			return t
		}
	}
	return ""
}

// Find returns the job that a name means: its full id, or that without the type at its end. Only then, and without a type, is opsdeck
// asked which job it is.
func Find(ctx context.Context, c *client.Client, name, jobType string) (Job, error) {
	switch t := typeOf(name); {
	case t != "" && (jobType == "" || jobType == t):
		return Job{t, name}, nil
	case jobType != "":
		return Job{jobType, name + "-" + jobType}, nil
	}
	var found []Job
	var denied error
	for _, t := range Types {
		job := Job{t, name + "-" + t}
		// An id comes before all that it is a prefix of.
		page, err := list(ctx, c, t, Filter{Prefix: job.ID}, 1, "")
		if isDenied(err) {
			denied = err
			continue
		}
		if err != nil {
			return job, err
		}
		if len(page.rows) > 0 && page.rows[0].GetJobId() == job.ID {
			found = append(found, job)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return Job{}, fmt.Errorf("there are several jobs %s, of the types %s and %s: say which with --type", name, found[0].Type, found[1].Type)
	case denied != nil:
		return Job{}, fmt.Errorf("there is no job %s among those that you may see; of one type: %w", name, denied)
	}
	return Job{}, &client.Refused{Status: http.StatusNotFound, Message: fmt.Sprintf("there is no job %s of any type: opsdeck job list shows what there is", name)}
}

func isDenied(err error) bool {
	var refused *client.Refused
	return errors.As(err, &refused) && refused.Status == http.StatusForbidden
}

// Filter chooses jobs and their order.
type Filter struct {
	Types  []string // none: all that the caller may see
	Prefix string   // of the id
	Status string
	Newest bool // first, otherwise by id
	Limit  int  // most jobs, more than 0
}

// Row is a job in a list.
type Row struct {
	*replicationv1.JobSummary

	Raw json.RawMessage // as the API has it
}

// Type returns the type of the job.
func (r Row) Type() string { return typeOf(r.GetJobId()) }

// maxPage bounds a page.
const maxPage = 500

// List returns the jobs that a filter chooses, and whether there are more than its limit.
func List(ctx context.Context, c *client.Client, f Filter) (all []Row, more bool, err error) {
	types, denied := f.Types, 0
	if len(types) == 0 {
		types = Types
	}
	for _, t := range types {
		rows, rest, listed := listAll(ctx, c, t, f)
		if isDenied(listed) {
			denied, err = denied+1, listed
			continue
		}
		if listed != nil {
			return nil, false, listed
		}
		all, more = append(all, rows...), more || rest
	}
	if denied == len(types) || denied > 0 && len(f.Types) > 0 {
		return nil, false, err
	}
	slices.SortStableFunc(all, func(a, b Row) int {
		if f.Newest {
			return b.GetJobCreateTime().AsTime().Compare(a.GetJobCreateTime().AsTime())
		}
		return strings.Compare(a.GetJobId(), b.GetJobId())
	})
	if len(all) > f.Limit {
		all, more = all[:f.Limit], true
	}
	return all, more, nil
}

func listAll(ctx context.Context, c *client.Client, jobType string, f Filter) (all []Row, more bool, err error) {
	token := ""
	for {
		p, err := list(ctx, c, jobType, f, min(maxPage, f.Limit-len(all)), token)
		if err != nil {
			return nil, false, err
		}
		all, token = append(all, p.rows...), p.next
		if token == "" || len(all) >= f.Limit {
			return all, token != "", nil
		}
	}
}

// page is one page of a list.
type page struct {
	rows []Row
	next string // token
}

func list(ctx context.Context, c *client.Client, jobType string, f Filter, size int, token string) (page, error) {
	query := url.Values{"page_size": {strconv.Itoa(size)}}
	for name, value := range map[string]string{"filter_job_name": f.Prefix, "filter_job_status": f.Status, "page_token": token} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if f.Newest {
		query.Set("order_by", "job_create_time")
	}
	text, err := c.Get(ctx, "/v2/jobs/"+jobType, query)
	if err != nil {
		return page{}, err
	}
	var answer struct {
		Jobs []json.RawMessage `json:"jobs"`
		Next string            `json:"next_page_token"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return page{}, fmt.Errorf("the list of jobs: %w", err)
	}
	p := page{next: answer.Next}
	for _, raw := range answer.Jobs {
		row := Row{&replicationv1.JobSummary{}, raw}
		if err := read(raw, row.JobSummary); err != nil {
			return page{}, err
		}
		p.rows = append(p.rows, row)
	}
	return p, nil
}

// read reads what a newer server may have more members in than this program knows.
func read(text json.RawMessage, into proto.Message) error {
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(text, into); err != nil {
		return fmt.Errorf("this opsdeck does not understand the server's answer, whose version may differ: %w", err)
	}
	return nil
}

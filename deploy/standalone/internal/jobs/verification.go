package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/deploy/standalone/internal/client"
)

// Ended reports whether a verification will do no more.
func Ended(v *replicationv1.Verification) bool {
	switch v.GetState() {
	case "finished", "failed", "stopped":
		return true
	}
	return false
}

// Verification returns how the last verification of a job does, without differences.
func Verification(ctx context.Context, c *client.Client, j Job) (*replicationv1.Verification, error) {
	_, answer, err := verification(ctx, c, j, 1, "")
	return answer.GetVerification(), err
}

// Found is the end of a verification.
type Found struct {
	Verification *replicationv1.Verification
	Differences  []*replicationv1.Difference // the first 1000
	Raw          json.RawMessage             // both, as the API has them
}

// Differences returns the last verification of a job and what it has found.
func Differences(ctx context.Context, c *client.Client, j Job) (Found, error) {
	const size = 1000
	var f Found
	raw := struct {
		Verification json.RawMessage   `json:"verification"`
		Differences  []json.RawMessage `json:"differences"`
	}{Differences: []json.RawMessage{}}
	token := ""
	for {
		text, answer, err := verification(ctx, c, j, size, token)
		if err != nil {
			return f, err
		}
		var part struct {
			Verification json.RawMessage   `json:"verification"`
			Differences  []json.RawMessage `json:"differences"`
		}
		if err := json.Unmarshal(text, &part); err != nil {
			return f, fmt.Errorf("the differences: %w", err)
		}
		f.Verification, f.Differences = answer.GetVerification(), append(f.Differences, answer.GetDifferences()...)
		raw.Verification, raw.Differences = part.Verification, append(raw.Differences, part.Differences...)
		if token = answer.GetNextPageToken(); token == "" {
			f.Raw, err = json.Marshal(raw)
			return f, err
		}
	}
}

func verification(ctx context.Context, c *client.Client, j Job, size int, token string) (json.RawMessage, *replicationv1.GetVerificationResponse, error) {
	query := url.Values{"job_id": {j.ID}, "page_size": {strconv.Itoa(size)}}
	if token != "" {
		query.Set("page_token", token)
	}
	text, err := c.Get(ctx, "/v2/job/"+j.Type+"/verify", query)
	if err != nil {
		return nil, nil, err
	}
	answer := &replicationv1.GetVerificationResponse{}
	return text, answer, read(text, answer)
}

package jobs_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/deploy/standalone/internal/client"
	"github.com/opsdeck/opsdeck/deploy/standalone/internal/jobs"
)

// shelf lists jobs as the API does, each made a second after the one before. It denies the list of subscriptions.
type shelf []string

func (s shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	jobType := strings.TrimPrefix(r.URL.Path, "/v2/jobs/")
	if jobType == jobs.Subscription {
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`{"message": "not yours"}`))
		return
	}
	query := r.URL.Query()
	type row struct {
		ID      string `json:"job_id"`
		Created string `json:"job_create_time"`
		Beyond  string `json:"a_member_of_later_times"`
	}
	var rows []row
	for i, id := range s {
		if strings.HasSuffix(id, "-"+jobType) && strings.HasPrefix(id, query.Get("filter_job_name")) {
			rows = append(rows, row{ID: id, Created: time.Unix(int64(i), 0).UTC().Format(time.RFC3339)})
		}
	}
	slices.SortFunc(rows, func(a, b row) int {
		if query.Get("order_by") == "job_create_time" {
			return strings.Compare(b.Created, a.Created)
		}
		return strings.Compare(a.ID, b.ID)
	})
	from, _ := strconv.Atoi(query.Get("page_token"))
	size, _ := strconv.Atoi(query.Get("page_size"))
	answer := map[string]any{"message": "ok", "jobs": rows[from:min(len(rows), from+size)]}
	if from+size < len(rows) {
		answer["next_page_token"] = strconv.Itoa(from + size)
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func dial(t *testing.T, api http.Handler) *client.Client {
	t.Helper()
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	address, err := client.ParseServer(server.URL, false)
	require.NoError(t, err)
	return client.New(address, func(context.Context) (string, error) { return "", nil })
}

func TestFind(t *testing.T) {
	t.Parallel()
	c := dial(t, shelf{"shop-migration", "shop-a-migration", "both-sync", "both-migration", "x-sync-migration"})
	for _, tc := range []struct {
		name, jobType, want, err string
	}{
		{"shop", "", "shop-migration", ""},
		{"shop-a", "", "shop-a-migration", ""},
		{"shop", "sync", "shop-sync", ""}, // whether there is one, the next call says
		{"anything-subscription", "", "anything-subscription", ""},
		{"x-sync", "", "x-sync", ""},
		{"x-sync", "migration", "x-sync-migration", ""},
		{"x-sync", "sync", "x-sync", ""},
		{"both", "", "", "of the types migration and sync"},
		{"sho", "", "", "there is no job sho among those that you may see"},
	} {
		t.Run(tc.name+tc.jobType, func(t *testing.T) {
			t.Parallel()
			got, err := jobs.Find(t.Context(), c, tc.name, tc.jobType)
			if tc.err != "" {
				require.ErrorContains(t, err, tc.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.want, got.ID)
		})
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	var s shelf
	for i := range 600 {
		s = append(s, fmt.Sprintf("m%04d-migration", 599-i))
	}
	s = append(s, "s1-sync", "a-sync")
	c := dial(t, s)
	for _, tc := range []struct {
		filter      jobs.Filter
		count       int
		first, last string
		more        bool
	}{
		{jobs.Filter{Limit: 5000}, 602, "a-sync", "s1-sync", false},
		{jobs.Filter{Limit: 602}, 602, "a-sync", "s1-sync", false},
		{jobs.Filter{Limit: 601}, 601, "a-sync", "m0599-migration", true},
		{jobs.Filter{Limit: 3, Newest: true}, 3, "a-sync", "m0000-migration", true},
		{jobs.Filter{Limit: 10, Types: []string{jobs.Sync}}, 2, "a-sync", "s1-sync", false},
		{jobs.Filter{Limit: 10, Prefix: "m000"}, 10, "m0000-migration", "m0009-migration", false},
	} {
		rows, more, err := jobs.List(t.Context(), c, tc.filter)
		require.NoError(t, err)
		require.Len(t, rows, tc.count)
		require.Equal(t, tc.first, rows[0].GetJobId())
		require.Equal(t, tc.last, rows[len(rows)-1].GetJobId())
		require.Equal(t, tc.more, more, tc.filter)
		require.Contains(t, string(rows[0].Raw), "a_member_of_later_times", "scripts see what the API says")
	}
	_, _, err := jobs.List(t.Context(), c, jobs.Filter{Limit: 1, Types: []string{jobs.Subscription}})
	require.ErrorContains(t, err, "not yours")
}

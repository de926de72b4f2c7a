package jobs_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/deploy/standalone/internal/jobs"
)

// The figures of a job are those of its newest writing task, and none when that is gone.
func TestFigures(t *testing.T) {
	t.Parallel()
	c := dial(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Query().Get("allocation_id") {
		case "newest":
			_, _ = w.Write([]byte(`{"tasks_status": {"stage": "Copying rows", "progress_PCT": "12.5", "exec_master_row_count": 9007199254740993}, "message": "ok"}`))
		case "gone":
			w.WriteHeader(http.StatusNotFound)
		default:
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	of := func(allocations ...string) *replicationv1.GetJobResponse {
		d := &replicationv1.GetJobResponse{}
		for _, a := range allocations {
			d.TaskLogs = append(d.TaskLogs, &replicationv1.TaskLog{Target: "src", AllocationId: "s-" + a}, &replicationv1.TaskLog{Target: "dst", AllocationId: a})
		}
		return d
	}
	figures, err := jobs.Figures(t.Context(), c, of("older", "newest"))
	require.NoError(t, err)
	require.Equal(t, "12.5", figures.GetProgressPct())
	require.EqualValues(t, 9007199254740993, figures.GetExecMasterRowCount())
	for _, none := range []*replicationv1.GetJobResponse{of(), of("newest", "gone")} {
		figures, err = jobs.Figures(t.Context(), c, none)
		require.NoError(t, err)
		require.Nil(t, figures)
	}
	_, err = jobs.Figures(t.Context(), c, of("broken"))
	require.Error(t, err)
}

func TestDetailOfAnotherVersion(t *testing.T) {
	t.Parallel()
	c := dial(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"basic_task_profile": {"job_base_info": {"job_id": 1}}}`))
	}))
	_, _, err := jobs.Detail(t.Context(), c, jobs.Job{Type: jobs.Migration, ID: "a-migration"})
	require.ErrorContains(t, err, "whose version may differ")
}

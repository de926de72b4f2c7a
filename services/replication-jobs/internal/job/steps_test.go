package job

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSteps(t *testing.T) {
	t.Parallel()
	for name, try := range map[string]struct {
		standing
		want []string
	}{
		"no step named":     {standing{Status: "running"}, nil},
		"waiting for node":  {standing{Step: "all", Status: "pending"}, []string{"job_stage_full waiting 0", "job_stage_incr waiting 0"}},
		"connecting":        {standing{Step: "all", Status: "running"}, []string{"job_stage_full start 0", "job_stage_incr waiting 0"}},
		"copying":           {standing{Step: "all", Status: "running", Stage: "job_stage_full", CopiedPercent: 25}, []string{"job_stage_full start 25", "job_stage_incr waiting 0"}},
		"copy fails":        {standing{Step: "all", Status: "retrying", Stage: "job_stage_full", CopiedPercent: 25}, []string{"job_stage_full failed 25", "job_stage_incr waiting 0"}},
		"copy paused":       {standing{Step: "all", Status: "paused", Stage: "job_stage_full", CopiedPercent: 25}, []string{"job_stage_full start 25", "job_stage_incr waiting 0"}},
		"behind":            {standing{Step: "all", Status: "running", Stage: "job_stage_incr", Delay: 3}, []string{"job_stage_full finished 100", "job_stage_incr start 0"}},
		"transactions wait": {standing{Step: "all", Status: "running", Stage: "job_stage_incr", Backlog: 3}, []string{"job_stage_full finished 100", "job_stage_incr start 0"}},
		"caught up":         {standing{Step: "all", Status: "running", Stage: "job_stage_incr"}, []string{"job_stage_full finished 100", "job_stage_incr start 100"}},
		"incr fails":        {standing{Step: "all", Status: "retrying", Stage: "job_stage_incr"}, []string{"job_stage_full finished 100", "job_stage_incr failed 0"}},
		"only full":         {standing{Step: "job_stage_full", Status: "finished", Stage: "job_stage_full"}, []string{"job_stage_full finished 100"}},
		"only incr":         {standing{Step: "job_stage_incr", Status: "pending"}, []string{"job_stage_incr waiting 0"}},
		"only incr starts":  {standing{Step: "job_stage_incr", Status: "running"}, []string{"job_stage_incr start 0"}},
		"only incr fails":   {standing{Step: "job_stage_incr", Status: "retrying"}, []string{"job_stage_incr failed 0"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			try.CreateTime = time.Unix(1, 0)
			var got []string
			for _, s := range try.steps() {
				require.Equal(t, int64(1), s.GetJobCreateTime().GetSeconds())
				got = append(got, fmt.Sprint(s.GetStepName(), " ", s.GetStepStatus(), " ", s.GetStepSchedule()))
			}
			require.Equal(t, try.want, got)
		})
	}
}

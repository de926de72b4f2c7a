package command

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/app"

	"github.com/opsdeck/opsdeck/deploy/standalone/internal/client"
	"github.com/opsdeck/opsdeck/deploy/standalone/internal/session"
)

func TestExitCodes(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		err  error
		code int
		text string
	}{
		{errors.New("disk full"), 3, "disk full"},
		{&client.Refused{Status: 404, Message: "no such job"}, 3, "no such job"},
		{errors.Join(nil, &client.Refused{Status: 409, Message: "finished"}), 3, "finished"},
		{&client.Refused{Status: 401, Message: "over"}, 4, "over"},
		{fmt.Errorf("%w to a, but to b", session.ErrNone), 4, "you are not signed in to a, but to b: opsdeck login"},
		{&client.Refused{Status: 503, Message: "busy"}, 5, "busy"},
		{&client.Unreachable{Server: "http://a", Err: errors.New("refused")}, 5, "http://a"},
		{app.Misused("wrong"), 2, "wrong"},
		{fmt.Errorf("look: %w", context.Canceled), 130, "exit code 130"},
	} {
		var coded *app.Exit
		require.ErrorAs(t, exit(tc.err), &coded)
		require.Equal(t, tc.code, coded.Code, tc.err)
		require.ErrorContains(t, coded, tc.text)
	}
	require.NoError(t, exit(nil))
}

func TestChoice(t *testing.T) {
	t.Parallel()
	c := &cobra.Command{}
	output := outputFlag(c)
	require.ErrorContains(t, c.ParseFlags([]string{"-o", "yaml"}), "want one of text, json")
	require.Equal(t, "text", output.value)
	require.NoError(t, c.ParseFlags([]string{"-o", "json"}))
	require.Equal(t, asJSON, output.value)
}

func TestAge(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 119 * time.Second: "119s", 2 * time.Minute: "2m", 3 * time.Hour: "3h", 49 * time.Hour: "2d",
	} {
		require.Equal(t, want, age(d))
	}
}

func steps(copyStatus string, percent float64, followStatus string, level float64) []*replicationv1.JobStep {
	return []*replicationv1.JobStep{
		{StepName: stepCopy, StepStatus: copyStatus, StepSchedule: percent},
		{StepName: stepFollow, StepStatus: followStatus, StepSchedule: level},
	}
}

// How a job does, from what the API says of it.
func TestStanding(t *testing.T) {
	t.Parallel()
	copying := &replicationv1.TaskStatus{
		Stage: "Copying rows", ProgressPct: "50.0", Eta: "1m30s", ThroughputStatus: &replicationv1.Throughput{Num: 1200, Time: 1}, DelayCount: &replicationv1.DelayCount{},
	}
	level := &replicationv1.TaskStatus{Stage: "waiting", ProgressPct: "100.0", DelayCount: &replicationv1.DelayCount{}}
	behind := &replicationv1.TaskStatus{Stage: "reading", ProgressPct: "100.0", DelayCount: &replicationv1.DelayCount{Num: 7, Time: 3}}
	for _, tc := range []struct {
		name    string
		status  string
		steps   []*replicationv1.JobStep
		figures *replicationv1.TaskStatus
		copied  bool
		level   bool
		step    string
		line    string
	}{
		{"nobody has it", "pending", steps("waiting", 0, "waiting", 0), nil, false, false, "-", "pending"},
		{"copying", "running", steps("start", 50, "waiting", 0), copying, false, false, "copy 50%", "running  [############------------]  50.0%  Copying rows  1200 rows/s  ETA 1m30s"},
		{"behind", "running", steps("finished", 100, "start", 0), behind, true, false, "follow, behind", "running  reading  0 rows/s  3 s behind  7 transactions wait"},
		{"level", "running", steps("finished", 100, "start", 100), level, true, true, "follow, level", "running  waiting  0 rows/s  0 s behind  0 transactions wait"},
		{"copying, steps not named", "running", nil, copying, false, false, "-", "running  [############------------]  50.0%  Copying rows  1200 rows/s  ETA 1m30s"},
		{"behind, steps not named", "running", nil, behind, true, false, "-", "running  reading  0 rows/s  3 s behind  7 transactions wait"},
		{"level, steps not named", "running", nil, level, true, true, "-", "running  waiting  0 rows/s  0 s behind  0 transactions wait"},
		{"no figures yet", "running", nil, nil, false, false, "-", "running"},
		{"paused", "paused", steps("start", 50, "waiting", 0), copying, false, false, "copy 50%", "paused"},
		{"finished", "finished", steps("finished", 100, "waiting", 0)[:1], nil, true, true, "copied", "finished"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			d := &replicationv1.GetJobResponse{BasicTaskProfile: &replicationv1.TaskProfile{JobBaseInfo: &replicationv1.JobBaseInfo{JobStatus: tc.status, JobSteps: tc.steps}}}
			s := stand(d, tc.figures)
			require.Equal(t, tc.copied, s.copied)
			require.Equal(t, tc.level, s.level)
			require.Equal(t, tc.line, s.String())
			require.Equal(t, tc.step, step(tc.steps))
		})
	}
}

func TestProblem(t *testing.T) {
	t.Parallel()
	at := func(second int64, kind, message string) *replicationv1.TaskEvent {
		return &replicationv1.TaskEvent{EventType: kind, Message: message, Time: timestamppb.New(time.Unix(second, 0))}
	}
	d := &replicationv1.GetJobResponse{
		BasicTaskProfile: &replicationv1.TaskProfile{JobBaseInfo: &replicationv1.JobBaseInfo{JobStatus: "retrying"}},
		TaskLogs: []*replicationv1.TaskLog{
			{Target: "src", TaskEvents: []*replicationv1.TaskEvent{at(1, "Started", "started"), at(9, "Terminated", "newest")}},
			{Target: "dst", TaskEvents: []*replicationv1.TaskEvent{at(5, "Terminated", "older"), at(10, "Restarting", "again")}},
		},
	}
	require.Equal(t, "newest", stand(d, nil).problem)
	require.Len(t, newest(d, 2), 2)
	require.Equal(t, "again", newest(d, 1)[0].GetMessage())
}

func TestValidation(t *testing.T) {
	t.Parallel()
	ok, no := &replicationv1.Validation{Validated: true}, &replicationv1.Validation{Error: "Access denied\nfor u"}
	for _, tc := range []struct {
		answer *replicationv1.ValidateJobResponse
		valid  bool
		text   string
	}{
		{&replicationv1.ValidateJobResponse{
			DriverConfigValidated: true, JobValidationWarning: "one\ntwo",
			MysqlTaskValidationReport: []*replicationv1.TaskValidationReport{{TaskName: "src", ConnectionValidation: ok}},
		}, true, "TASK  CHECK       RESULT\nsrc   connection  ok\nwarning: one\nwarning: two\n"},
		{&replicationv1.ValidateJobResponse{
			DriverConfigValidated:     true,
			MysqlTaskValidationReport: []*replicationv1.TaskValidationReport{{TaskName: "dest", PrivilegesValidation: no}},
		}, false, "TASK  CHECK       RESULT\ndest  privileges  Access denied for u\n"},
		{&replicationv1.ValidateJobResponse{DriverConfigValidated: true, JobValidationError: "x"}, false, "TASK  CHECK  RESULT\nerror: x\n"},
		{&replicationv1.ValidateJobResponse{}, false, "TASK  CHECK  RESULT\n"},
	} {
		var out strings.Builder
		require.NoError(t, printValidation(&out, tc.answer))
		require.Equal(t, tc.text, out.String())
		require.Equal(t, tc.valid, valid(tc.answer))
	}
}

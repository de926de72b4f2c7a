package command

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/app"

	"github.com/opsdeck/opsdeck/deploy/standalone/internal/client"
	"github.com/opsdeck/opsdeck/deploy/standalone/internal/jobs"
	"github.com/opsdeck/opsdeck/deploy/standalone/internal/terminal"
)

// The names of the steps of a job.
const (
	stepCopy   = "job_stage_full"
	stepFollow = "job_stage_incr"
)

func list() *cobra.Command {
	c := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List jobs", Args: cobra.NoArgs, ValidArgsFunction: cobra.NoFileCompletions,
		Example: `  opsdeck job list
  opsdeck job list --status retrying --order created
  opsdeck job list --type migration --name shop --limit 20
  opsdeck job list -o json | jq -r '.jobs[].job_id'`,
	}
	var f jobs.Filter
	c.Flags().StringVar(&f.Prefix, "name", "", "what the names of the jobs begin with")
	c.Flags().IntVar(&f.Limit, "limit", 500, "most jobs to list")
	jobType := choose(c, "type", "", "", "type of the jobs", jobs.Types...)
	status := choose(c, "status", "", "", "status of the jobs", "pending", "running", "retrying", "paused", "finished", "reverse-init")
	order := choose(c, "order", "", "id", "id, or created for the newest first", "id", "created")
	output := outputFlag(c)
	c.RunE = calling(func(c *cobra.Command, api *client.Client, _ []string) error {
		if f.Limit < 1 {
			return app.Misused("--limit: want 1 or more")
		}
		if jobType.value != "" {
			f.Types = []string{jobType.value}
		}
		f.Status, f.Newest = status.value, order.value == "created"
		rows, more, err := jobs.List(c.Context(), api, f)
		if err != nil {
			return err
		}
		if more {
			defer fmt.Fprintf(c.ErrOrStderr(), "there are more: --limit lists more than %d, --name and --status choose\n", f.Limit)
		}
		if output.value == asJSON {
			return printRows(c.OutOrStdout(), rows)
		}
		if len(rows) == 0 {
			fmt.Fprintln(c.ErrOrStderr(), "no jobs")
			return nil
		}
		table := [][]string{{"NAME", "STATUS", "STEP", "SOURCE", "TARGET", "OWNER", "AGE"}}
		for _, r := range rows {
			table = append(table, []string{
				r.GetJobId(), r.GetJobStatus(), step(r.GetJobSteps()), strings.Join(r.GetSrcAddrList(), ","), strings.Join(r.GetDstAddrList(), ","),
				r.GetUser(), age(time.Since(r.GetJobCreateTime().AsTime())),
			})
		}
		return terminal.Table(c.OutOrStdout(), table)
	})
	return c
}

func printRows(out io.Writer, rows []jobs.Row) error {
	raws := make([]json.RawMessage, len(rows))
	for i, row := range rows {
		raws[i] = row.Raw
	}
	text, err := json.Marshal(map[string]any{"jobs": raws})
	if err != nil {
		return err
	}
	return printJSON(out, text)
}

// step says in a word or two how far a job is.
func step(steps []*replicationv1.JobStep) string {
	said := "-"
	for _, s := range steps {
		switch {
		case s.GetStepStatus() == "waiting":
		case s.GetStepName() == stepFollow && s.GetStepSchedule() == 100:
			said = "follow, level"
		case s.GetStepName() == stepFollow:
			said = "follow, behind"
		case s.GetStepStatus() == "finished":
			said = "copied"
		default:
			said = fmt.Sprintf("copy %.0f%%", s.GetStepSchedule())
		}
	}
	return said
}

// age is a duration in its largest unit.
func age(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", max(d, 0)/time.Second)
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", d/(24*time.Hour))
}

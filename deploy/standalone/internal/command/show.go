package command

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/deploy/standalone/internal/client"
	"github.com/opsdeck/opsdeck/deploy/standalone/internal/jobs"
	"github.com/opsdeck/opsdeck/deploy/standalone/internal/terminal"
)

func show() *cobra.Command {
	c := &cobra.Command{Use: "show", Short: "Show all about a job", Example: `  opsdeck job show shop
  opsdeck job show shop --events 50
  opsdeck job show shop -o json | jq .basic_task_profile.configuration`}
	events := c.Flags().Int("events", 10, "newest events to show")
	output := outputFlag(c)
	return one(c, func(c *cobra.Command, api *client.Client, j jobs.Job) error {
		d, raw, err := jobs.Detail(c.Context(), api, j)
		if err != nil {
			return err
		}
		if output.value == asJSON {
			return printJSON(c.OutOrStdout(), raw)
		}
		figures, err := jobs.Figures(c.Context(), api, d)
		if err != nil {
			return err
		}
		return printDetail(c.OutOrStdout(), d, figures, *events)
	})
}

func printDetail(out io.Writer, d *replicationv1.GetJobResponse, figures *replicationv1.TaskStatus, most int) error {
	base, instances := d.GetBasicTaskProfile().GetJobBaseInfo(), d.GetBasicTaskProfile().GetConnectionInfo()
	created := base.GetJobCreateTime().AsTime()
	facts := [][]string{
		{"Job:", base.GetJobId()},
		{"Status:", base.GetJobStatus()},
		{"Created:", created.Local().Format(time.DateTime) + " (" + age(time.Since(created)) + " ago)"},
		{"Source:", instance(instances.GetSrcDataBase())},
	}
	if kafka := instances.GetDstKafka(); kafka.GetKafkaTopic() != "" {
		facts = append(facts, []string{"Target:", strings.Join(kafka.GetKafkaBrokerAddrs(), ",") + " topic " + kafka.GetKafkaTopic()})
	} else {
		facts = append(facts, []string{"Target:", instance(instances.GetDstDataBase())})
	}
	for _, n := range d.GetBasicTaskProfile().GetDtleNodeInfos() {
		facts = append(facts, []string{"Node (" + n.GetSource() + "):", n.GetNodeId() + " at " + n.GetNodeAddr()})
	}
	s := stand(d, figures)
	for _, step := range base.GetJobSteps() {
		facts = append(facts, []string{"Step:", fmt.Sprintf("%s %s %.1f%%", step.GetStepName(), step.GetStepStatus(), step.GetStepSchedule())})
	}
	facts = append(facts, []string{"Now:", s.String()})
	if v := d.GetVerification(); v != nil {
		facts = append(facts, []string{"Verification:", verdict(v) + ", ordered by " + v.GetOrderedBy()})
	}
	if r := d.GetRelay(); r != nil {
		facts = append(facts, []string{"Relay log:", fmt.Sprintf("%d of %d MiB, %d s behind %s", r.GetBytes()>>20, r.GetMaxBytes()>>20, r.GetBehind(), r.GetWaits())})
	}
	if err := terminal.Table(out, facts); err != nil {
		return err
	}
	rows := [][]string{{"TIME", "SIDE", "EVENT", "MESSAGE"}}
	for _, e := range newest(d, most) {
		rows = append(rows, []string{e.GetTime().AsTime().Local().Format(time.DateTime), e.side, e.GetEventType(), cmp.Or(e.GetSetupError(), e.GetMessage())})
	}
	fmt.Fprintln(out)
	return terminal.Table(out, rows)
}

func instance(i *replicationv1.MySQLConnection) string {
	return fmt.Sprintf("%s:%d as %s", i.GetMysqlHost(), i.GetMysqlPort(), i.GetMysqlUser())
}

// event is something that happened at one side of a job.
type event struct {
	*replicationv1.TaskEvent

	side string
}

// newest returns the newest events of a job, oldest first.
func newest(d *replicationv1.GetJobResponse, most int) []event {
	var all []event
	for _, l := range d.GetTaskLogs() {
		for _, e := range l.GetTaskEvents() {
			all = append(all, event{e, l.GetTarget()})
		}
	}
	slices.SortStableFunc(all, func(a, b event) int { return a.GetTime().AsTime().Compare(b.GetTime().AsTime()) })
	return all[max(0, len(all)-max(most, 0)):]
}

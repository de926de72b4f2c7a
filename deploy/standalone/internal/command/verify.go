package command

import (
	"context"
	"errors"
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

// verifyFlags is what verify is told.
type verifyFlags struct {
	repair, continuous, stop, noWait, last bool
	rows, lag                              int
	output                                 *choice
}

func verify() *cobra.Command {
	c := &cobra.Command{
		Use: "verify", Short: "Compare the rows of the target with those of the source",
		Long: `Compare every row of the target with the source's while the job goes on, wait for the end, and list the keys that differ, at most 1000.

The exit code is 1 if rows differ that were not repaired. ^C ends the waiting and not the verification: --last shows later what it has
found, --stop stops it.`,
		Example: `  opsdeck job verify shop
  opsdeck job verify shop --repair
  opsdeck job verify shop --last -o json | jq -r '.differences[].key'`,
	}
	f := &verifyFlags{}
	c.Flags().BoolVar(&f.repair, "repair", false, "make differing rows of the target what the source's are")
	c.Flags().BoolVar(&f.continuous, "continuous", false, "begin again after the end, until --stop; does not wait")
	c.Flags().IntVar(&f.rows, "rows-per-second", 0, "rows of the source to read each second (default the server's, 10000)")
	c.Flags().IntVar(&f.lag, "max-lag", 0, "seconds of lag above which nothing is read (default the server's, 10)")
	c.Flags().BoolVar(&f.noWait, "no-wait", false, "do not wait for the end")
	c.Flags().BoolVar(&f.stop, "stop", false, "stop the verification that runs")
	c.Flags().BoolVar(&f.last, "last", false, "order nothing: show the last verification and what it has found")
	for _, begins := range []string{"repair", "continuous", "rows-per-second", "max-lag", "no-wait"} {
		c.MarkFlagsMutuallyExclusive("stop", "last", begins)
	}
	f.output = outputFlag(c)
	return one(c, f.run)
}

func (f *verifyFlags) run(c *cobra.Command, api *client.Client, j jobs.Job) error {
	switch {
	case f.last:
		return report(c, api, j, f.output.value)
	case f.stop:
		return ordered(c, api, j, "verify", map[string]any{"action": "stop"}, "stopped the verification of "+j.ID)
	}
	order := map[string]any{"repair": f.repair, "continuous": f.continuous}
	if c.Flags().Changed("rows-per-second") {
		order["rows_per_second"] = f.rows
	}
	if c.Flags().Changed("max-lag") {
		order["max_lag"] = f.lag
	}
	if f.noWait || f.continuous {
		return ordered(c, api, j, "verify", order, "verifying "+j.ID+"; opsdeck job verify "+j.ID+" --last tells what it has found")
	}
	if err := jobs.Order(c.Context(), api, j, "verify", order); err != nil {
		return err
	}
	if err := await(c.Context(), api, j, terminal.NewProgress(c.ErrOrStderr())); err != nil {
		return err
	}
	return report(c, api, j, f.output.value)
}

// await shows how a verification goes on until it has ended. What may pass does not end it.
func await(ctx context.Context, api *client.Client, j jobs.Job, progress *terminal.Progress) error {
	defer progress.End()
	said := ""
	return every(ctx, time.Second, func(ctx context.Context) (bool, error) {
		v, err := jobs.Verification(ctx, api, j)
		var refused *client.Refused
		var unreachable *client.Unreachable
		if errors.As(err, &unreachable) || errors.As(err, &refused) && passes(refused) {
			if err.Error() != said {
				progress.Say(err.Error() + "; trying on")
			}
			said = err.Error()
			return false, nil
		}
		if err != nil {
			return false, err
		}
		progress.Show(fmt.Sprint(v.GetState(), v.GetTablesDone(), v.GetDifferencesFound(), v.GetError()), verdict(v))
		return jobs.Ended(v), nil
	})
}

// verdict says how a verification does, in a line.
func verdict(v *replicationv1.Verification) string {
	said := fmt.Sprintf("%s, %d of %d tables, %d rows compared, %d differences", v.GetState(), v.GetTablesDone(), v.GetTablesTotal(), v.GetRowsCompared(), v.GetDifferencesFound())
	if v.GetRepair() {
		said += fmt.Sprintf(", %d repaired", v.GetDifferencesRepaired())
	}
	if v.GetError() != "" {
		said += "; " + v.GetError()
	}
	return said
}

// report prints what a verification has found, and returns what that means for the exit code.
func report(c *cobra.Command, api *client.Client, j jobs.Job, output string) error {
	found, err := jobs.Differences(c.Context(), api, j)
	if err != nil {
		return err
	}
	if output == asJSON {
		err = printJSON(c.OutOrStdout(), found.Raw)
	} else {
		err = printFound(c.OutOrStdout(), found)
	}
	switch v := found.Verification; {
	case err != nil:
		return err
	case v.GetState() == "failed":
		return fmt.Errorf("the verification of %s failed: %s", j.ID, terminal.Text(v.GetError()))
	case v.GetState() == "stopped":
		return fmt.Errorf("the verification of %s was stopped before its end", j.ID)
	case v.GetDifferencesFound() > v.GetDifferencesRepaired():
		return &app.Exit{Code: exitNo} // which is printed already
	}
	return nil
}

func printFound(out io.Writer, found jobs.Found) error {
	if len(found.Differences) > 0 {
		rows := [][]string{{"TABLE", "KEY", "DIFFERENCE", "COLUMNS", "REPAIRED"}}
		for _, d := range found.Differences {
			repaired := "no"
			if d.GetRepaired() {
				repaired = "yes"
			}
			what := d.GetKind()
			if d.GetNote() != "" {
				what += ": " + d.GetNote()
			}
			rows = append(rows, []string{d.GetTable(), d.GetKey(), what, strings.Join(d.GetColumns(), ","), repaired})
		}
		if err := terminal.Table(out, rows); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(out, terminal.Text(verdict(found.Verification)))
	return err
}

package command

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/opsdeck/opsdeck/pkg/app"

	"github.com/opsdeck/opsdeck/deploy/standalone/internal/client"
	"github.com/opsdeck/opsdeck/deploy/standalone/internal/jobs"
)

func job() *cobra.Command {
	c := app.Group("job", "Work with replication jobs",
		list(), show(), watch(), create(), update(), pause(), resume(), remove(), verify(), reverse(), reverseStart(), skip(), replace(), copyAgain())
	c.Long = `Work with replication jobs of the opsdeck that opsdeck login signed in to, or that OPSDECK_SERVER names.

A job is named by its full id, as shop-migration, or without the type at its end, as shop, if only one job is called so or --type says
which.

Exit codes:
  0    done
  1    the answer is no: job verify found rows that differ, job create --dry-run what would stop the job
  2    the command line is wrong
  3    opsdeck did not do it, and says why; or something on this machine failed
  4    not signed in, or no longer
  5    opsdeck cannot be reached, or has no time: try again later
  130  interrupted by ^C`
	c.Example = `  opsdeck job create -f shop.yaml --dry-run
  opsdeck job create -f shop.yaml
  opsdeck job watch shop --until copied
  opsdeck job verify shop`
	return c
}

// one makes of c a command about the job that its argument names.
func one(c *cobra.Command, do func(c *cobra.Command, api *client.Client, j jobs.Job) error) *cobra.Command {
	c.Use += " NAME"
	c.Args = cobra.ExactArgs(1)
	c.ValidArgsFunction = completeNames
	jobType := typeFlag(c)
	c.RunE = calling(func(c *cobra.Command, api *client.Client, args []string) error {
		j, err := jobs.Find(c.Context(), api, args[0], jobType.value)
		if err != nil {
			return err
		}
		return do(c, api, j)
	})
	return c
}

func typeFlag(c *cobra.Command) *choice {
	return choose(c, "type", "", "", "type of the job, if its name does not end with it", jobs.Types...)
}

const asJSON = "json"

// outputFlag adds the flag that says whether people or scripts read the output.
func outputFlag(c *cobra.Command) *choice {
	return choose(c, "output", "o", "text", "text for people, json for scripts: as the HTTP API has it", "text", asJSON)
}

func printJSON(out io.Writer, raw json.RawMessage) error {
	var text bytes.Buffer
	if err := json.Indent(&text, raw, "", "  "); err != nil {
		return err
	}
	text.WriteByte('\n')
	_, err := text.WriteTo(out)
	return err
}

// completeNames completes the id of a job, if somebody is signed in.
func completeNames(c *cobra.Command, before []string, begun string) ([]string, cobra.ShellCompDirective) {
	const most, patience = 100, 3 * time.Second
	api, err := dial()
	if err != nil || len(before) > 0 && c.Args(c, append(before, begun)) != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(c.Context(), patience)
	defer cancel()
	rows, _, err := jobs.List(ctx, api, jobs.Filter{Prefix: begun, Limit: most})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, row := range rows {
		if !slices.Contains(before, row.GetJobId()) {
			names = append(names, row.GetJobId())
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

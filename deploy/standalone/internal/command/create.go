package command

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/app"

	"github.com/opsdeck/opsdeck/deploy/standalone/internal/client"
	"github.com/opsdeck/opsdeck/deploy/standalone/internal/jobs"
	"github.com/opsdeck/opsdeck/deploy/standalone/internal/terminal"
)

func create() *cobra.Command {
	c := &cobra.Command{
		Use: "create", Short: "Create a job from a file, or say what would stop it",
		Long: `Create a job from a file in JSON or YAML, with the members of POST /v2/job/{type}/create, or say what would stop it (--dry-run).

The job is a subscription if its dest_task has a kafka_topic, of the type of its wrapper if it stands under migration_job_config or
sync_job_config, and otherwise a migration, unless --type says so. The file holds passwords: let nobody else read it.`,
		Example: `  opsdeck job create -f shop.yaml --dry-run
  opsdeck job create -f shop.yaml
  make-job | opsdeck job create --type sync -f -`,
	}
	dry := c.Flags().Bool("dry-run", false, "make nothing: check the file and ask both servers whether the job could run; exit code 1 if not")
	return fromFile(c, func(c *cobra.Command, api *client.Client, cfg jobs.Config, output string) error {
		if *dry {
			return validate(c, api, cfg, output)
		}
		return put(c, api, "create", "created", cfg, output)
	})
}

func update() *cobra.Command {
	c := &cobra.Command{
		Use: "update", Short: "Give a job another configuration from a file",
		Long: `Give a job another configuration from a file, as job create reads it. It takes the place of all that the job has; a password of "*" keeps
the one there is. The tasks start anew and go on where they were.`,
		Example: "  opsdeck job update -f shop.yaml",
	}
	return fromFile(c, func(c *cobra.Command, api *client.Client, cfg jobs.Config, output string) error {
		return put(c, api, "update", "updated", cfg, output)
	})
}

// fromFile makes of c a command about a job in a file.
func fromFile(c *cobra.Command, do func(c *cobra.Command, api *client.Client, cfg jobs.Config, output string) error) *cobra.Command {
	c.Args, c.ValidArgsFunction = cobra.NoArgs, cobra.NoFileCompletions
	file, jobType, output := fileFlag(c, "`FILE` with the job, - for standard input"), choose(c, "type", "", "", "type of the job", jobs.Types...), outputFlag(c)
	if err := c.MarkFlagRequired("file"); err != nil {
		panic(err) // the flag was just made
	}
	c.RunE = calling(func(c *cobra.Command, api *client.Client, _ []string) error {
		cfg, err := open(c, *file, jobs.ReadConfig)
		if err != nil {
			return err
		}
		if cfg.Type != "" && jobType.value != "" && cfg.Type != jobType.value {
			return app.Misused("%s is a %s, and --type says %s", *file, cfg.Type, jobType.value)
		}
		cfg.Type = cmp.Or(cfg.Type, jobType.value, jobs.Migration)
		return do(c, api, cfg, output.value)
	})
	return c
}

func fileFlag(c *cobra.Command, help string) *string { return c.Flags().StringP("file", "f", "", help) }

// open reads a file, or standard input.
func open[T any](c *cobra.Command, path string, read func(io.Reader) (T, error)) (value T, err error) {
	in := c.InOrStdin()
	if path != "-" {
		file, err := os.Open(path) //nolint:gosec // the operator's own choice
		if err != nil {
			return value, err
		}
		defer func() { _ = file.Close() }() // it was only read
		in = file
	}
	if value, err = read(in); err != nil {
		return value, fmt.Errorf("%s: %w", path, err)
	}
	return value, nil
}

func put(c *cobra.Command, api *client.Client, order, done string, cfg jobs.Config, output string) error {
	j, raw, err := jobs.Put(c.Context(), api, order, cfg)
	if err != nil {
		return err
	}
	if output == asJSON {
		return printJSON(c.OutOrStdout(), raw)
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "%s %s\n", done, terminal.Text(j.ID))
	return err
}

func validate(c *cobra.Command, api *client.Client, cfg jobs.Config, output string) error {
	if cfg.Type == jobs.Subscription {
		return app.Misused("--dry-run: opsdeck validates migrations and syncs only")
	}
	v, raw, err := jobs.Validate(c.Context(), api, cfg)
	if err != nil {
		return err
	}
	if output == asJSON {
		err = printJSON(c.OutOrStdout(), raw)
	} else {
		err = printValidation(c.OutOrStdout(), v)
	}
	if err == nil && !valid(v) {
		err = &app.Exit{Code: exitNo, Err: errors.New("the job would not run as it stands")}
	}
	return err
}

// check is one of those that validation makes on each server.
type check struct {
	name string
	*replicationv1.Validation
}

func checks(r *replicationv1.TaskValidationReport) []check {
	return []check{
		{"connection", r.GetConnectionValidation()},
		{"privileges", r.GetPrivilegesValidation()},
		{"GTID mode", r.GetGtidModeValidation()},
		{"server id", r.GetServerIdValidation()},
		{"binary log", r.GetBinlogValidation()},
	}
}

func valid(v *replicationv1.ValidateJobResponse) bool {
	ok := v.GetDriverConfigValidated() && v.GetJobValidationError() == ""
	for _, r := range v.GetMysqlTaskValidationReport() {
		for _, c := range checks(r) {
			ok = ok && (c.Validation == nil || c.GetValidated())
		}
	}
	return ok
}

func printValidation(out io.Writer, v *replicationv1.ValidateJobResponse) error {
	rows := [][]string{{"TASK", "CHECK", "RESULT"}}
	for _, r := range v.GetMysqlTaskValidationReport() {
		for _, c := range checks(r) {
			switch {
			case c.Validation == nil: // it says nothing about this server, or one before it failed
			case c.GetValidated():
				rows = append(rows, []string{r.GetTaskName(), c.name, "ok"})
			default:
				rows = append(rows, []string{r.GetTaskName(), c.name, c.GetError()})
			}
		}
	}
	if err := terminal.Table(out, rows); err != nil {
		return err
	}
	for line := range strings.Lines(v.GetJobValidationError()) {
		fmt.Fprintln(out, "error:", terminal.Text(strings.TrimRight(line, "\n")))
	}
	for line := range strings.Lines(v.GetJobValidationWarning()) {
		fmt.Fprintln(out, "warning:", terminal.Text(strings.TrimRight(line, "\n")))
	}
	return nil
}

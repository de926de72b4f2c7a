package command

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/opsdeck/opsdeck/pkg/app"

	"github.com/opsdeck/opsdeck/deploy/standalone/internal/client"
	"github.com/opsdeck/opsdeck/deploy/standalone/internal/jobs"
	"github.com/opsdeck/opsdeck/deploy/standalone/internal/terminal"
)

func pause() *cobra.Command {
	return several(&cobra.Command{Use: "pause", Short: "Stop jobs where they are", Example: "  opsdeck job pause shop stock"}, "pause", "paused")
}

func resume() *cobra.Command {
	return several(&cobra.Command{Use: "resume", Short: "Let paused jobs go on", Example: "  opsdeck job resume shop stock"}, "resume", "resumed")
}

func remove() *cobra.Command {
	c := several(&cobra.Command{
		Use: "delete", Short: "Stop jobs and remove all that they remember",
		Long: `Stop jobs and remove all that they remember, also at the target. The rows at the target stay. It cannot be undone: a job of the same name
begins with a full copy. At a terminal the name of the job is asked for once more; elsewhere --yes is needed.`,
		Example: `  opsdeck job delete shop
  opsdeck job delete shop-migration stock-sync --yes`,
	}, "delete", "deleted")
	yes := c.Flags().BoolP("yes", "y", false, "do not ask")
	run := c.RunE
	c.RunE = func(c *cobra.Command, names []string) error {
		if !*yes {
			if err := confirm(c, names); err != nil {
				return exit(err)
			}
		}
		return run(c, names)
	}
	return c
}

// confirm asks for the names of what is about to be lost.
func confirm(c *cobra.Command, names []string) error {
	if !terminal.Is(c.InOrStdin()) {
		return app.Misused("standard input is no terminal, where it could be asked whether that is meant: use --yes")
	}
	want := strings.Join(names, " ")
	got, err := terminal.Ask(c.Context(), c.InOrStdin(), c.ErrOrStderr(), fmt.Sprintf("Delete %s? It cannot be undone. Type %q to go on: ", want, want))
	if err == nil && got != want {
		err = errors.New("nothing was deleted")
	}
	return err
}

// several makes of c a command that orders something of each job that its arguments name.
func several(c *cobra.Command, order, done string) *cobra.Command {
	c.Use += " NAME..."
	c.Args = cobra.MinimumNArgs(1)
	c.ValidArgsFunction = completeNames
	jobType := typeFlag(c)
	c.RunE = calling(func(c *cobra.Command, api *client.Client, names []string) error {
		var errs []error
		for _, name := range names {
			j, err := jobs.Find(c.Context(), api, name, jobType.value)
			if err == nil {
				err = jobs.Order(c.Context(), api, j, order, nil)
			}
			if err == nil {
				_, err = fmt.Fprintf(c.OutOrStdout(), "%s %s\n", done, j.ID)
			}
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	})
	return c
}

func reverse() *cobra.Command {
	c := &cobra.Command{
		Use: "reverse", Short: "Create the job that will replicate back",
		Long: `Create the job that will replicate back from the target to the source. It waits until job reverse-start. It signs in with the accounts of the
job, or with those in a file of the members src_user, src_pwd, dest_user and dest_pwd.`,
		Example: `  opsdeck job reverse shop
  opsdeck job reverse shop -f accounts.yaml`,
	}
	file := fileFlag(c, "`FILE` with other accounts, - for standard input")
	return one(c, func(c *cobra.Command, api *client.Client, j jobs.Job) error {
		var with map[string]any
		if *file != "" {
			accounts, err := open(c, *file, jobs.ReadObject)
			if err != nil {
				return err
			}
			with = map[string]any{"reverse_config": accounts}
		}
		return ordered(c, api, j, "reverse", with, "created reverse-"+j.ID+"; opsdeck job reverse-start "+j.ID+" hands over to it")
	})
}

func reverseStart() *cobra.Command {
	c := &cobra.Command{
		Use: "reverse-start", Short: "Hand over to the job that replicates back",
		Long: `Hand over to the job that replicates back: stop the writers of the source first. The job ends when all that they wrote is at the target, and
the reverse job begins exactly there. It returns at once; opsdeck job watch tells when that has happened.`,
		Example: `  opsdeck job reverse-start shop && opsdeck job watch shop`,
	}
	return one(c, func(c *cobra.Command, api *client.Client, j jobs.Job) error {
		return ordered(c, api, j, "reverse_start", nil, "handing over from "+j.ID)
	})
}

func skip() *cobra.Command {
	c := &cobra.Command{
		Use: "skip", Short: "Leave out the statement that a job stands at",
		Example: "  opsdeck job skip shop --position mariadb-bin.000007:4711",
	}
	return decide(c, "skip", func() map[string]any { return map[string]any{} })
}

func replace() *cobra.Command {
	c := &cobra.Command{
		Use: "replace", Short: "Execute another statement than the one that a job stands at",
		Example: `  opsdeck job replace shop --position mariadb-bin.000007:4711 --statement 'ALTER TABLE store.orders ADD note VARCHAR(20)'`,
	}
	statement := c.Flags().String("statement", "", "one definition, in the target's names, every table with its schema")
	if err := c.MarkFlagRequired("statement"); err != nil {
		panic(err) // the flag was just made
	}
	return decide(c, "replace", func() map[string]any { return map[string]any{"statement": *statement} })
}

// decide makes of c a command about a statement.
func decide(c *cobra.Command, action string, with func() map[string]any) *cobra.Command {
	position := c.Flags().String("position", "", "where the job stands, as its error says: `FILE:OFFSET`, or object:number")
	if err := c.MarkFlagRequired("position"); err != nil {
		panic(err) // the flag was just made
	}
	return one(c, func(c *cobra.Command, api *client.Client, j jobs.Job) error {
		order := with()
		order["position"], order["action"] = *position, action
		return ordered(c, api, j, "ddl", order, "told "+j.ID+" to "+action+" the statement at "+*position)
	})
}

func copyAgain() *cobra.Command {
	c := &cobra.Command{
		Use: "copy", Short: "Begin again with a full copy, for a source that cannot go on",
		Long: `Begin again with a full copy, for a job whose source has purged what the job needs, or has another history. The job forgets what it has
replicated. Without --drop-tables it stops in front of tables that have rows at the target.`,
		Example: "  opsdeck job copy shop --drop-tables",
	}
	drop := c.Flags().Bool("drop-tables", false, "drop the tables that exist at the target")
	return one(c, func(c *cobra.Command, api *client.Client, j jobs.Job) error {
		return ordered(c, api, j, "full_copy", map[string]any{"drop_table_if_exists": *drop}, j.ID+" copies again")
	})
}

// ordered orders something of a job and says that it is done.
func ordered(c *cobra.Command, api *client.Client, j jobs.Job, order string, with map[string]any, done string) error {
	if err := jobs.Order(c.Context(), api, j, order, with); err != nil {
		return err
	}
	_, err := fmt.Fprintln(c.OutOrStdout(), terminal.Text(done))
	return err
}

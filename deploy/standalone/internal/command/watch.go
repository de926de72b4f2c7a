package command

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/opsdeck/opsdeck/pkg/app"

	"github.com/opsdeck/opsdeck/deploy/standalone/internal/client"
	"github.com/opsdeck/opsdeck/deploy/standalone/internal/jobs"
	"github.com/opsdeck/opsdeck/deploy/standalone/internal/terminal"
)

func watch() *cobra.Command {
	c := &cobra.Command{
		Use: "watch", Short: "Watch a job until it ends, or until ^C",
		Long: `Watch a job until it ends, or until ^C; the job goes on either way.

At a terminal one line shows progress, stage, rate, remaining time and lag; elsewhere a line is written whenever something happens. A job
that follows its source has no end: --until says how long to wait. While opsdeck cannot be reached, it tries on.`,
		Example: `  opsdeck job watch shop
  opsdeck job watch shop --until copied
  timeout 1h opsdeck job watch shop --until level && echo ready`,
	}
	until := choose(c, "until", "", finished, "finished, copied (the full copy is done), or level (the target has all that the source has)", finished, "copied", "level")
	interval := c.Flags().Duration("interval", time.Second, "time between two looks")
	return one(c, func(c *cobra.Command, api *client.Client, j jobs.Job) error {
		if *interval < 100*time.Millisecond {
			return app.Misused("--interval: want 100ms or more")
		}
		w := watcher{api: api, job: j, progress: terminal.NewProgress(c.OutOrStdout())}
		defer w.progress.End()
		return every(c.Context(), *interval, func(ctx context.Context) (bool, error) {
			s, err := w.look(ctx)
			return s.status == finished || until.value == "copied" && s.copied || until.value == "level" && s.level, err
		})
	})
}

// watcher looks at a job from time to time.
type watcher struct {
	api      *client.Client
	job      jobs.Job
	progress *terminal.Progress
	seen     bool
	said     string // the last problem
}

// look shows how the job does. What may pass is shown, and no error, once the job was seen.
func (w *watcher) look(ctx context.Context) (standing, error) {
	d, _, err := jobs.Detail(ctx, w.api, w.job)
	if err != nil {
		return standing{}, w.bear(err)
	}
	figures, err := jobs.Figures(ctx, w.api, d)
	if err != nil {
		return standing{}, w.bear(err)
	}
	s := stand(d, figures)
	w.seen = true
	w.tell(s.problem)
	w.progress.Show(s.key(), w.job.ID+"  "+s.String())
	return s, nil
}

func (w *watcher) tell(problem string) {
	if problem != w.said && problem != "" {
		w.progress.Say(problem)
	}
	w.said = problem
}

func (w *watcher) bear(err error) error {
	var refused *client.Refused
	var unreachable *client.Unreachable
	if w.seen && (errors.As(err, &unreachable) || errors.As(err, &refused) && passes(refused)) {
		w.tell(err.Error() + "; trying on")
		return nil
	}
	return err
}

// every looks at once and then at each interval, until look says that it is done.
func every(ctx context.Context, interval time.Duration, look func(ctx context.Context) (done bool, err error)) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		if done, err := look(ctx); done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

package app

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"
)

// Task runs until its context ends. Returning earlier is a failure, with or without an error.
type Task func(ctx context.Context) error

// errEnded is the failure of a task that returned although nobody told it to.
var errEnded = errors.New("a part of the process ended before it was told to")

// RunStages runs the tasks of all stages at once until ctx ends or a task fails. Then it stops them stage by stage: a stage is
// told to stop when the one before it has returned, so that what serves others outlives those it serves.
func RunStages(ctx context.Context, stages ...[]Task) error {
	failed, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	before := failed
	var errs []error
	ended := make(chan error, len(stages))
	for _, tasks := range stages {
		stage, stop := context.WithCancel(context.WithoutCancel(ctx))
		context.AfterFunc(before, stop)
		done, finish := context.WithCancel(context.WithoutCancel(ctx))
		go func() {
			defer finish()
			defer stop()
			ended <- runStage(stage, fail, tasks)
		}()
		before = done
	}
	for range stages {
		errs = append(errs, <-ended)
	}
	return errors.Join(errs...)
}

// runStage runs the tasks of one stage and calls fail when one of them does.
func runStage(ctx context.Context, fail context.CancelCauseFunc, tasks []Task) error {
	if len(tasks) == 0 {
		<-ctx.Done() // its turn to stop tells the next stage
	}
	var group errgroup.Group
	for _, task := range tasks {
		group.Go(func() error {
			err := task(ctx)
			switch told := ctx.Err() != nil; {
			case err == nil && !told:
				err = errEnded
			case told && errors.Is(err, context.Canceled):
				err = nil // being told to stop is no failure, also while starting
			}
			if err != nil {
				fail(err)
			}
			return err
		})
	}
	return group.Wait()
}

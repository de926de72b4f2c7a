package app

import (
	"context"

	"golang.org/x/sync/errgroup"
)

// Group runs tasks until the first of them fails or ctx ends, and returns that failure once all have returned.
func Group(ctx context.Context, tasks ...func(ctx context.Context) error) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, task := range tasks {
		group.Go(func() error { return task(ctx) })
	}
	return group.Wait()
}

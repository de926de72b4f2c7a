package app_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/opsdeck/opsdeck/pkg/app"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// until returns a task that runs until it is told to stop and then says so.
func until(name string, stopped chan<- string) app.Task {
	return func(ctx context.Context) error {
		<-ctx.Done()
		stopped <- name
		return nil
	}
}

func TestStagesStopInOrder(t *testing.T) {
	t.Parallel()
	stopped := make(chan string, 3)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- app.RunStages(ctx, []app.Task{until("gateway", stopped)}, []app.Task{until("service", stopped)}, []app.Task{until("database", stopped)})
	}()
	require.Empty(t, stopped)
	cancel()
	require.NoError(t, <-done)
	require.Equal(t, []string{"gateway", "service", "database"}, []string{<-stopped, <-stopped, <-stopped})
}

func TestAnEmptyStageStopsNobody(t *testing.T) {
	t.Parallel()
	stopped := make(chan string, 1)
	ctx, cancel := context.WithCancel(context.Background())
	running := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- app.RunStages(ctx, nil, []app.Task{func(ctx context.Context) error {
			close(running)
			return until("service", stopped)(ctx)
		}})
	}()
	<-running
	select {
	case <-stopped:
		t.Fatal("the service was stopped although nobody asked for it")
	case err := <-done:
		t.Fatal(err)
	case <-time.After(50 * time.Millisecond): // a wrong stop comes at once
	}
	cancel()
	require.NoError(t, <-done)
}

func TestAFailureStopsEverything(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	stopped := make(chan string, 2)
	err := app.RunStages(context.Background(),
		[]app.Task{until("gateway", stopped)},
		[]app.Task{until("service", stopped), func(context.Context) error { return broken }})
	require.ErrorIs(t, err, broken)
	require.Len(t, stopped, 2)
}

func TestBeingToldToStopIsNoFailure(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	starting := func(ctx context.Context) error {
		<-ctx.Done()
		return fmt.Errorf("database does not answer: %w", ctx.Err())
	}
	err := app.RunStages(context.Background(), []app.Task{func(context.Context) error { return broken }}, []app.Task{starting})
	require.EqualError(t, err, "broken")
}

func TestATaskThatJustEndsIsAFailure(t *testing.T) {
	t.Parallel()
	require.Error(t, app.RunStages(context.Background(), []app.Task{func(context.Context) error { return nil }}))
}

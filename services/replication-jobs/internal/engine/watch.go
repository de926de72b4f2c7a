package engine

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

const (
	// watchEvery is how often a server is asked whether it is there.
	watchEvery = 3 * time.Second
	// watchPatience is how long it may take to answer.
	watchPatience = 20 * time.Second
)

// watched runs work, and asks a server now and then whether it is there. Statements take as long as they take: what waits for the answer to one on a
// connection that a firewall has forgotten, say, would do so for ever. The context of work ends when the server does not answer.
func watched(ctx context.Context, what string, server mysql.Config, work func(context.Context) error) error {
	c, err := mysql.Connect(ctx, server)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	defer func() { _ = c.Close() }() // nothing is open on it
	group, ctx := errgroup.WithContext(ctx)
	watching, done := context.WithCancel(ctx)
	group.Go(func() error {
		if err := watch(watching, c); watching.Err() == nil {
			return fmt.Errorf("%s %s: %w", what, server.Addr(), mysql.Explain(err))
		}
		return nil
	})
	group.Go(func() error {
		defer done()
		return work(ctx)
	})
	return group.Wait()
}

func watch(ctx context.Context, c *mysql.Conn) error {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
		err := ask(c, func() error {
			_, err := c.Execute("SELECT 1")
			return err
		})
		if err != nil {
			return err
		}
	}
}

// ask puts short questions to a server, and hangs up if it does not answer.
func ask(c *mysql.Conn, questions func() error) error {
	defer time.AfterFunc(watchPatience, func() { _ = c.Close() }).Stop()
	return questions()
}

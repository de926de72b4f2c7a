package demo

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/mariadb"
)

func TestDatasetIsWhatTheDemoPromises(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "opsdeck-dataset-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o755))
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	server, err := mariadb.Start(ctx, mariadb.Options{Dir: dir + "/db", ServerID: 1})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Kill()) })

	require.NoError(t, load(ctx, server))

	count, err := queryText(ctx, server, "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'shop'")
	require.NoError(t, err)
	require.Equal(t, "8", count)
	require.Len(t, tables, 8)
	rows, err := queryText(ctx, server, `SELECT (SELECT COUNT(*) FROM shop.customers) + (SELECT COUNT(*) FROM shop.products) + (SELECT COUNT(*) FROM shop.orders)
		+ (SELECT COUNT(*) FROM shop.order_items) + (SELECT COUNT(*) FROM shop.payments) + (SELECT COUNT(*) FROM shop.visits)
		+ (SELECT COUNT(*) FROM shop.stores) + (SELECT COUNT(*) FROM shop.events_without_key)`)
	require.NoError(t, err)
	require.Equal(t, "556000", rows)

	write, stop := context.WithCancel(ctx)
	w := &writer{}
	done := make(chan error, 1)
	go func() { done <- w.run(write, server, 1) }()
	require.Eventually(t, func() bool { return w.committed.Load() > 300 }, time.Minute, 10*time.Millisecond, "every kind of change works")
	stop()
	require.NoError(t, <-done)
}

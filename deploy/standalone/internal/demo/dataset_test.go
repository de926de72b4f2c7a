package demo

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/mariadb"
)

// start runs a server until the test ends.
func start(t *testing.T) *mariadb.Server {
	t.Helper()
	dir, err := os.MkdirTemp("", "opsdeck-dataset-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o755)) // the server runs as another user
	server, err := mariadb.Start(t.Context(), mariadb.Options{Dir: dir + "/db", ServerID: 1})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Kill()) })
	return server
}

func TestDatasetIsWhatTheDemoPromises(t *testing.T) {
	t.Parallel()
	ctx, server := t.Context(), start(t)

	require.NoError(t, load(ctx, server))

	count, err := server.Value(ctx, "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'shop'")
	require.NoError(t, err)
	require.Equal(t, "8", count)
	require.Len(t, tables, 8)
	rows, err := server.Value(ctx, `SELECT (SELECT COUNT(*) FROM shop.customers) + (SELECT COUNT(*) FROM shop.products) + (SELECT COUNT(*) FROM shop.orders)
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

func TestChecksumSeesEveryColumn(t *testing.T) {
	t.Parallel()
	server := start(t)
	require.NoError(t, server.Exec(t.Context(), "CREATE DATABASE shop", "CREATE TABLE shop.stores (id INT PRIMARY KEY, a DECIMAL(20,10), b BLOB, c BIT(9), d POINT, e JSON)"))
	sum := func() string {
		query, err := checksum(t.Context(), server, "stores")
		require.NoError(t, err)
		text, err := server.Value(t.Context(), query)
		require.NoError(t, err)
		return text
	}
	seen := map[string]string{}
	for _, change := range []string{
		"DO 0", "INSERT INTO shop.stores VALUES (1, 0.1, 'x', b'1', POINT(1, 1), '{}')", "UPDATE shop.stores SET a = 0.1000000001", "UPDATE shop.stores SET b = 'X'",
		"UPDATE shop.stores SET c = NULL", "UPDATE shop.stores SET c = b'100000000'", "UPDATE shop.stores SET d = POINT(1, 2)", "UPDATE shop.stores SET e = '[]'", "UPDATE shop.stores SET id = 2",
	} {
		require.NoError(t, server.Exec(t.Context(), change))
		now := sum()
		require.NotContains(t, seen, now, change)
		seen[now] = change
	}
}

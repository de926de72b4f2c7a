package mariadb_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/opsdeck/opsdeck/services/replication-jobs/mariadb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestServerKeepsItsData(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "opsdeck-db-") // t.TempDir is closed to the server's user
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	s, err := mariadb.Start(t.Context(), mariadb.Options{Dir: dir, ServerID: 7, User: "it's", Password: `p\w'd`})
	require.NoError(t, err)
	require.NoError(t, s.Exec(t.Context(), "CREATE DATABASE kept", "CREATE TABLE kept.t (id INT PRIMARY KEY)", "INSERT INTO kept.t VALUES (1)"))
	require.NoError(t, s.Kill())
	require.Error(t, s.Exec(t.Context(), "SELECT 1"))
	require.NoError(t, s.Restart(t.Context()))
	require.NoError(t, s.Stop())

	again, err := mariadb.Start(t.Context(), mariadb.Options{Dir: dir, ServerID: 7, Port: s.Port()})
	require.NoError(t, err)
	require.NoError(t, again.Exec(t.Context(), "INSERT INTO kept.t VALUES (2)"))
	require.ErrorContains(t, again.Exec(t.Context(), "INSERT INTO kept.t VALUES (1)"), "Duplicate entry")
	require.NoError(t, again.Stop())
}

func TestStartTellsWhy(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "opsdeck-db-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	_, err = mariadb.Start(t.Context(), mariadb.Options{Dir: dir, ServerID: 7, Args: []string{"--no-such-option"}})
	require.ErrorContains(t, err, "no-such-option")
}

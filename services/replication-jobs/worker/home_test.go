package worker

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

func TestHome(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new")
	first, err := openHome(dir)
	require.NoError(t, err)
	require.NoError(t, uuid.Validate(first.id))
	_, err = openHome(dir)
	require.ErrorContains(t, err, "in use by another worker node")
	require.NoError(t, first.Close())
	second, err := openHome(dir)
	require.NoError(t, err)
	require.Equal(t, first.id, second.id, "the id survives a restart")
	require.NoError(t, second.Close())

	require.NoError(t, os.WriteFile(filepath.Join(dir, "node-id"), []byte("x"), 0o600))
	_, err = openHome(dir)
	require.ErrorContains(t, err, "holds no node id")
}

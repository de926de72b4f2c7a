package e2e

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/pkg/apitest"
)

// The documented examples of the contracts whose calls depend on each other, as stories: shapes, nulls and error codes as
// documented, and every answer as the served document says.
func TestStories(t *testing.T) {
	t.Parallel()
	o := sharedOpsdeck(t)
	r := apitest.Runner{BaseURL: "http://" + o.address, Client: httpClient, Check: o.checkAnswer, Tokens: o.callers(t)}
	files, err := filepath.Glob("testdata/stories/*.yaml")
	require.NoError(t, err)
	for _, file := range files {
		story := apitest.LoadStory(t, os.DirFS("."), file)
		t.Run(story.Name, func(t *testing.T) {
			t.Parallel()
			played := r.Play(t, story, map[string]string{
				"run": strings.ToLower(rand.Text()[:8]), "password": o.password,
			})
			require.NotEmpty(t, played, "a story is about documented calls")
		})
	}
}

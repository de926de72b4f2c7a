package matrix_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/matrix"
)

var update = flag.Bool("update", false, "write the tables of docs/replication.md")

const page = "../../../../docs/replication.md"

// TestDocumentedTables holds the documents to what the tests replicate.
func TestDocumentedTables(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	want := section(t, string(text), "column types", types(t))
	want = section(t, want, "definitions", definitions())
	if *update {
		require.NoError(t, os.WriteFile(page, []byte(want), 0o644))
		return
	}
	require.Equal(t, want, string(text), "run: go test ./services/replication-jobs/internal/matrix -update")
}

// section is the page with a table between the marks that carry its name.
func section(t *testing.T, page, name, table string) string {
	t.Helper()
	before, rest, ok := strings.Cut(page, "<!-- table of "+name+", written by a test -->\n")
	require.True(t, ok, "the page has no place for the table of %s", name)
	_, after, ok := strings.Cut(rest, "<!-- end of table -->\n")
	require.True(t, ok, "the table of %s has no end", name)
	return before + "<!-- table of " + name + ", written by a test -->\n" + table + "<!-- end of table -->\n" + after
}

func types(t *testing.T) string {
	t.Helper()
	out := "| type | values tried, among others | in Kafka messages |\n| --- | --- | --- |\n"
	for _, kind := range matrix.Types() {
		var values []string
		for _, v := range kind.Values {
			if len(v.SQL) <= 24 && !strings.Contains(v.SQL, "|") {
				values = append(values, code(v.SQL))
			}
		}
		var field struct{ Type, Name string }
		require.NoError(t, json.Unmarshal([]byte("{"+kind.Schema+"}"), &field))
		out += fmt.Sprintf("| %s | %s | %s |\n", code(short(kind.Column))+only(kind.Column), strings.Join(values[:min(len(values), 5)], ", "), strings.TrimSpace(field.Type+" "+field.Name))
	}
	return out
}

func definitions() string {
	out := "| statement | |\n| --- | --- |\n"
	for _, d := range matrix.Definitions {
		out += fmt.Sprintf("| %s | %s |\n", code(strings.ReplaceAll(d.Statement, "|", "\\|")), string(d.Outcome)+only(d.Statement))
	}
	return out
}

// only says which family alone has a type or a statement.
func only(text string) string {
	if family := matrix.Family(text); family != "" {
		return ", " + family + " only"
	}
	return ""
}

// short leaves out of a long list what is in the middle.
func short(text string) string {
	if len(text) > 60 {
		return text[:20] + "...)"
	}
	return text
}

func code(text string) string {
	if strings.Contains(text, "`") {
		return "`` " + text + " ``"
	}
	return "`" + text + "`"
}

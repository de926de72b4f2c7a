package predicate_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/predicate"
)

var table = []mysql.Column{
	{Name: "i", DataType: "int"},
	{Name: "u", DataType: "bigint", Unsigned: true},
	{Name: "d", DataType: "decimal"},
	{Name: "f", DataType: "double"},
	{Name: "s", DataType: "varchar", Charset: "utf8mb4", Collation: "utf8mb4_general_ci"},
	{Name: "b", DataType: "varchar", Charset: "utf8mb4", Collation: "utf8mb4_bin"},
	{Name: "uca", DataType: "varchar", Charset: "utf8mb4", Collation: "utf8mb4_0900_ai_ci"},
	{Name: "l", DataType: "varchar", Charset: "latin1", Collation: "latin1_bin"},
	{Name: "sv", DataType: "varchar", Charset: "latin1", Collation: "latin1_swedish_ci"},
	{Name: "da", DataType: "date"},
	{Name: "bits", DataType: "bit", ColumnType: "bit(8)"},
	{Name: "j", DataType: "json", ColumnType: "json"},
	{Name: "clock", DataType: "time", ColumnType: "time"},
	{Name: "e", DataType: "enum", Charset: "latin1", Collation: "latin1_bin", ColumnType: "enum('é')"},
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                   "cannot be read",
		"a =":                                "cannot be read",
		"a = 1; DROP TABLE t":                "cannot be read",
		"1) FROM t WHERE (1":                 "more than one expression",
		"1), (2":                             "more than one expression",
		"1) + (2":                            "more than one expression",
		"1) LIMIT (1":                        "cannot be read",
		"1) UNION SELECT (1":                 "more than one expression",
		"a = (SELECT 1)":                     "cannot be evaluated exactly",
		"EXISTS (SELECT 1)":                  "cannot be evaluated exactly",
		"a IN (SELECT 1)":                    "cannot be evaluated exactly",
		"a > NOW()":                          "the function NOW()",
		"RAND() < 0.5":                       "the function RAND()",
		"UPPER(a) = 'X'":                     "the function UPPER(`a`)",
		"a / 2 > 1":                          "the operator of `a`/2",
		"a & 1":                              "the operator of `a`&1",
		"a REGEXP 'x'":                       "cannot be evaluated exactly",
		"COALESCE(s, 'x') = 'x'":             "COALESCE of something else than signed integers",
		"a LIKE b":                           "LIKE takes a column and a literal",
		"t.a = 1":                            "a column named together with its table",
		"CASE WHEN a THEN 1 ELSE 0 END":      "cannot be evaluated exactly",
		"a = @x":                             "cannot be evaluated exactly",
		"a = X'00'":                          "the literal",
		"a COLLATE utf8mb4_0900_ai_ci = 'x'": "the collation utf8mb4_0900_ai_ci",
		"(a, b) = (1, 2)":                    "cannot be evaluated exactly",
		"'x' = 'X'":                          "two literals compared",
		"1.5 + a":                            "arithmetic with something else than integers",
		strings.Repeat("a", 5000):            "longer than 4096 bytes",
	} {
		_, err := predicate.Parse(text)
		require.ErrorContains(t, err, want, text)
	}
}

func TestBindRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"nosuch = 1":                  "names column nosuch, which the table does not have",
		"i = '5'":                     "a number compared with a string",
		"s = 5":                       "a string compared with a number",
		"s":                           "`s`, a string used as a truth value",
		"da AND i":                    "`da`, a date used as a truth value",
		"uca = 'a'":                   "the collation utf8mb4_0900_ai_ci (behind the column, COLLATE may name a binary one)",
		"sv LIKE 'a'":                 "the collation latin1_swedish_ci",
		"s = b":                       "strings of the collations utf8mb4_general_ci and utf8mb4_bin compared",
		"l = 'é'":                     "a character outside ASCII compared by latin1_bin",
		"l COLLATE utf8mb4_bin = 'a'": "a collation of another character set",
		"da = '2024-02-30'":           "the date '2024-02-30', which does not exist",
		"da = '24-1-1'":               "other than YYYY-MM-DD",
		"da = 20240101":               "a date compared with a number",
		"bits = 1":                    "column bits of type bit(8)",
		"j = '{}'":                    "column j of type json",
		"clock > '10:00:00'":          "column clock of type time",
		"e = 'x'":                     "an ENUM in latin1 with characters outside ASCII",
		"d + 1 > 2":                   "arithmetic with something else than integers",
		"-u < 0":                      "minus of something else than a signed number",
		"f LIKE '1%'":                 "LIKE of a floating-point number",
		"YEAR(s) = 1":                 "YEAR of a string",
	} {
		condition, err := predicate.Parse(text)
		require.NoError(t, err, text)
		_, err = condition.Bind(table)
		require.ErrorContains(t, err, want, text)
	}
	condition, err := predicate.Parse("uca COLLATE utf8mb4_bin = 'a' AND i > 1")
	require.NoError(t, err)
	p, err := condition.Bind(table)
	require.NoError(t, err)
	require.Equal(t, []int{6, 0}, p.Columns)
}

func FuzzCondition(f *testing.F) {
	for _, text := range conditions {
		f.Add(text)
	}
	for _, text := range []string{"i = 1", "s LIKE '%a_' ESCAPE '|'", "da BETWEEN '2024-01-01' AND NULL", "(((i)))", "NOT -i % 2", "i IN (1, NULL)", "1) FROM t WHERE (1"} {
		f.Add(text)
	}
	row := []any{int32(5), int64(-1), "1.5", 2.5, "abc", "abc", "x", "y", "z", "2024-01-01", nil, nil, nil, nil}
	f.Fuzz(func(t *testing.T, text string) {
		condition, err := predicate.Parse(text)
		if err != nil {
			return
		}
		p, err := condition.Bind(table)
		if err != nil {
			return
		}
		values := make([]predicate.Value, len(p.Columns))
		for i, column := range p.Columns {
			values[i], err = predicate.FromLog(row[column], &table[column])
			require.NoError(t, err)
		}
		first, firstErr := p.Match(values)
		again, againErr := p.Match(values)
		require.Equal(t, first, again)
		require.Equal(t, firstErr, againErr)
	})
}

func BenchmarkMatch(b *testing.B) {
	condition, err := predicate.Parse("i > 3 AND s IN ('new', 'ABC') AND da >= '2024-01-01'")
	require.NoError(b, err)
	p, err := condition.Bind(table)
	require.NoError(b, err)
	row := []any{int32(5), "abc", "2024-01-01"}
	values := make([]predicate.Value, 3)
	b.ReportAllocs()
	for b.Loop() {
		for i, column := range p.Columns {
			if values[i], err = predicate.FromLog(row[i], &table[column]); err != nil {
				b.Fatal(err)
			}
		}
		if ok, err := p.Match(values); err != nil || !ok {
			b.Fatal(ok, err)
		}
	}
}

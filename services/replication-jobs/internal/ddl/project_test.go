package ddl_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
)

func TestProjectCreate(t *testing.T) {
	t.Parallel()
	columns := []string{"c", "A"}
	for text, want := range map[string]string{
		"CREATE TABLE t (a INT PRIMARY KEY, b INT, c INT)":                                                                      "CREATE TABLE t (c INT, a INT PRIMARY KEY)",
		"CREATE TABLE t (a INT, `b` ENUM('x,y)', 'c'), c DECIMAL(5,2)) COMMENT 'a (b)'":                                         "CREATE TABLE t (c DECIMAL(5,2), a INT) COMMENT 'a (b)'",
		"CREATE TABLE `t` (a INT, b INT, c INT, PRIMARY KEY (a, c), UNIQUE (b), KEY `b` (c(5)), KEY (c, b), FULLTEXT KEY (b))":  "CREATE TABLE `t` (c INT, a INT, PRIMARY KEY (a, c), KEY `b` (c(5)))",
		"CREATE TABLE t (a INT, b INT, c INT, CONSTRAINT b FOREIGN KEY (a) REFERENCES u (b), FOREIGN KEY (b) REFERENCES u (a))": "CREATE TABLE t (c INT, a INT, CONSTRAINT b FOREIGN KEY (a) REFERENCES u (b))",
		"CREATE TABLE t (a INT, b INT CHECK (b > 0), c INT, CHECK (a > 0), CONSTRAINT x CHECK (a > b))":                         "CREATE TABLE t (c INT, a INT, CHECK (a > 0))",
	} {
		s, err := ddl.Parse(text, ddl.Session{Schema: "d"})
		require.NoError(t, err)
		left, all, err := s.ProjectCreate(columns)
		require.NoError(t, err, text)
		require.Equal(t, want, left.Text)
		require.Equal(t, []string{"a", "b", "c"}, all)
	}
	for text, want := range map[string]string{
		"CREATE TABLE t (a INT, b INT)":                                           "names column c, which the table does not have",
		"CREATE TABLE t (a INT, b INT, c INT, PRIMARY KEY (a, b))":                "leaves out a column of the primary key",
		"CREATE TABLE t (a INT, b INT, c INT AS (b + 1))":                         "column c depends on a column",
		"CREATE TABLE t (a INT, b INT, c INT) PARTITION BY HASH (b) PARTITIONS 2": "its partitions depend on a column",
		"CREATE TABLE t LIKE u":                                                   "it defines no columns",
		"CREATE TABLE t (a INT":                                                   "not understood",
	} {
		_, _, err := ddl.ProjectCreate(text, false, columns)
		require.ErrorContains(t, err, want, text)
	}
}

func TestWithoutMissing(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{ // "" when nothing is left
		"ALTER TABLE t DROP INDEX gone":                                               "",
		"ALTER TABLE t DROP KEY Kept, COMMENT 'x'":                                    "ALTER TABLE t DROP KEY Kept, COMMENT 'x'",
		"ALTER TABLE d.t DROP KEY gone, DROP FOREIGN KEY gone, RENAME TO d.u":         "ALTER TABLE `d`.`t` RENAME AS `d`.`u`",
		"ALTER TABLE t RENAME INDEX gone TO x, DROP CONSTRAINT kept, DROP CHECK gone": "ALTER TABLE `t` DROP CONSTRAINT `kept`",
		"ALTER TABLE t DROP INDEX gone, ADD INDEX gone (a), DROP PRIMARY KEY":         "ALTER TABLE `t` ADD INDEX `gone`(`a`), DROP PRIMARY KEY",
		"ALTER TABLE t ALTER INDEX gone INVISIBLE, RENAME KEY kept TO gone":           "ALTER TABLE `t` RENAME INDEX `kept` TO `gone`",
		"DROP INDEX gone ON t": "DROP INDEX gone ON t",
	} {
		s, err := ddl.Parse(text, ddl.Session{Schema: "d"})
		require.NoError(t, err)
		left, err := s.WithoutMissing(func(name string) bool { return strings.EqualFold(name, "kept") })
		require.NoError(t, err, text)
		require.Equal(t, want == "", left.Kind == ddl.Ignored, text)
		if want != "" {
			require.Equal(t, want, left.Text)
		}
	}
}

func TestProjectAlter(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct{ left, columns string }{ // "" when nothing is left
		"ALTER TABLE t ADD d INT":                                {"", "a b c d"},
		"ALTER TABLE t ADD d INT FIRST, ADD e INT AFTER a":       {"", "d a e b c"},
		"ALTER TABLE t ADD (d INT, e INT)":                       {"", "a b c d e"},
		"ALTER TABLE t ADD COLUMN IF NOT EXISTS b INT":           {"", "a b c"},
		"ALTER TABLE t DROP b":                                   {"", "a c"},
		"ALTER TABLE t MODIFY a BIGINT AFTER b":                  {"ALTER TABLE `t` MODIFY COLUMN `a` BIGINT", "b a c"},
		"ALTER TABLE t MODIFY b BIGINT FIRST":                    {"", "b a c"},
		"ALTER TABLE t CHANGE b x INT FIRST, CHANGE a a INT":     {"ALTER TABLE `t` CHANGE COLUMN `a` `a` INT", "x a c"},
		"ALTER TABLE t RENAME COLUMN b TO x":                     {"", "a x c"},
		"ALTER TABLE t ADD KEY (a), ADD KEY k (a, b), ADD z INT": {"ALTER TABLE `t` ADD INDEX(`a`)", "a b c z"},
		"ALTER TABLE t ADD FOREIGN KEY (b) REFERENCES u (a)":     {"", "a b c"},
		"ALTER TABLE t DROP INDEX k, COMMENT = 'it''s \\\\'":     {"ALTER TABLE `t` DROP INDEX `k`, COMMENT = 'it''s \\\\'", "a b c"},
		"ALTER TABLE t RENAME TO u":                              {"ALTER TABLE `t` RENAME AS `u`", "a b c"},
		"CREATE INDEX k ON t (a, c)":                             {"CREATE INDEX k ON t (a, c)", "a b c"},
		"CREATE INDEX k ON t (b)":                                {"", "a b c"},
	} {
		s, err := ddl.Parse(text, ddl.Session{Schema: "d"})
		require.NoError(t, err)
		after, left, err := s.ProjectAlter([]string{"C", "a"}, []string{"a", "b", "c"})
		require.NoError(t, err, text)
		require.Equal(t, want.columns, strings.Join(after, " "), text)
		require.Equal(t, want.left == "", left.Kind == ddl.Ignored, text)
		if want.left != "" {
			require.Equal(t, want.left, left.Text)
		}
	}
	for text, want := range map[string]string{
		"ALTER TABLE t DROP a":               "names column a, which it drops",
		"ALTER TABLE t CHANGE c x INT":       "names column c",
		"ALTER TABLE t RENAME COLUMN b TO a": "names column a",
		"ALTER TABLE t RENAME COLUMN b TO x, RENAME COLUMN x TO b, RENAME COLUMN b TO b2, ADD b2 INT, CHANGE b2 x2 INT, RENAME COLUMN x2 TO y2, RENAME COLUMN zz TO q": "column zz, which the table is not known to have",
		"ALTER TABLE t ADD d INT AFTER x":                         "behind x, which the table is not known to have",
		"ALTER TABLE t DROP x":                                    "drops column x, which the table is not known to have",
		"ALTER TABLE t ADD CHECK (b > 0)":                         "a check is added",
		"ALTER TABLE t ADD PARTITION (PARTITION p VALUES IN (1))": "of which only some columns are replicated",
		"ALTER TABLE t NOWAIT DROP b":                             "not understood",
	} {
		s, err := ddl.Parse(text, ddl.Session{Schema: "d"})
		require.NoError(t, err)
		_, _, err = s.ProjectAlter([]string{"c", "a"}, []string{"a", "b", "c"})
		require.ErrorContains(t, err, want, text)
	}
}

func FuzzProjectCreate(f *testing.F) {
	for _, text := range []string{"CREATE TABLE t (a INT, b INT, PRIMARY KEY (a))", "CREATE TABLE t (b ENUM(')', ','), a INT AS (b)) COMMENT '('", "CREATE TABLE t (a", "(,)"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		projected, all, err := ddl.ProjectCreate(text, false, []string{"a"})
		if err != nil {
			return
		}
		require.Contains(t, strings.ToLower(strings.Join(all, " ")), "a")
		_, again, err := ddl.ProjectCreate(projected, false, []string{"a"})
		require.NoError(t, err)
		require.Len(t, again, 1)
	})
}

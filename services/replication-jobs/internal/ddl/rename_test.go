package ddl_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
)

var errBad = errors.New("no name")

// prefixed calls schema d "e", and its tables by their names with an n in front; those of other schemas stay what they are.
type prefixed struct{}

func (prefixed) TargetSchema(schema string) (string, error) {
	switch schema {
	case "d":
		return "e", nil
	case "bad":
		return "", errBad
	}
	return schema, nil
}

func (p prefixed) Target(n ddl.Name) (ddl.Name, error) {
	schema, err := p.TargetSchema(n.Schema)
	if n.Schema != "d" {
		return name(schema, n.Table), err
	}
	return name(schema, "n"+n.Table), err
}

func TestRename(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"CREATE TABLE t (id INT)":                     "CREATE TABLE `e`.`nt` (id INT)",
		"CREATE TABLE  d . t(id INT) -- x":            "CREATE TABLE  `e`.`nt`(id INT) -- x",
		"CREATE TABLE IF NOT EXISTS `d`.`t` (id INT)": "CREATE TABLE IF NOT EXISTS `e`.`nt` (id INT)",
		"create table t (t int, `references` int, u int references t (t)) comment 'references t'":                                         "create table `e`.`nt` (t int, `references` int, u int references `e`.`nt` (t)) comment 'references t'",
		"CREATE TABLE t (a INT, CONSTRAINT c FOREIGN KEY (a) REFERENCES d.p (id) ON DELETE CASCADE, FOREIGN KEY (a) REFERENCES x.y (id))": "CREATE TABLE `e`.`nt` (a INT, CONSTRAINT c FOREIGN KEY (a) REFERENCES `e`.`np` (id) ON DELETE CASCADE, FOREIGN KEY (a) REFERENCES `x`.`y` (id))",
		"CREATE TABLE x.t LIKE d.u": "CREATE TABLE `x`.`t` LIKE `e`.`nu`",
		"CREATE TABLE t (LIKE u)":   "CREATE TABLE `e`.`nt` (LIKE `e`.`nu`)",
		"CREATE TABLE t (s VARCHAR(9) CHARACTER SET gbk DEFAULT 'd.t', n DECIMAL(5,2) DEFAULT 1.5)": "CREATE TABLE `e`.`nt` (s VARCHAR(9) CHARACTER SET gbk DEFAULT 'd.t', n DECIMAL(5,2) DEFAULT 1.5)",
		"CREATE TABLE t (a INT) /*!50100 PARTITION BY HASH (a) PARTITIONS 4 */":                     "CREATE TABLE `e`.`nt` (a INT) /*!50100 PARTITION BY HASH (a) PARTITIONS 4 */",
		"CREATE TABLE t (a INT, g INT GENERATED ALWAYS AS (a + 1) STORED, KEY (a), CHECK (a > 0))":  "CREATE TABLE `e`.`nt` (a INT, g INT GENERATED ALWAYS AS (a + 1) STORED, KEY (a), CHECK (a > 0))",
		"ALTER TABLE t ADD COLUMN u INT AFTER id, ADD INDEX t (u)":                                  "ALTER TABLE `e`.`nt` ADD COLUMN u INT AFTER id, ADD INDEX t (u)",
		"ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES u (id), RENAME TO v":                          "ALTER TABLE `e`.`nt` ADD FOREIGN KEY (a) REFERENCES `e`.`nu` (id), RENAME TO `e`.`nv`",
		"ALTER TABLE d.t RENAME AS x.v":                                                             "ALTER TABLE `e`.`nt` RENAME AS `x`.`v`",
		"ALTER TABLE t EXCHANGE PARTITION p WITH TABLE u":                                           "ALTER TABLE `e`.`nt` EXCHANGE PARTITION p WITH TABLE `e`.`nu`",
		"DROP TABLE IF EXISTS t, x.y, `d`.`a``b` /* gone */":                                        "DROP TABLE IF EXISTS `e`.`nt`, `x`.`y`, `e`.`na``b` /* gone */",
		"TRUNCATE t":                              "TRUNCATE `e`.`nt`",
		"RENAME TABLE t TO _t_del, _t_gho TO t":   "RENAME TABLE `e`.`nt` TO `e`.`n_t_del`, `e`.`n_t_gho` TO `e`.`nt`",
		"CREATE UNIQUE INDEX t ON t (t(10))":      "CREATE UNIQUE INDEX t ON `e`.`nt` (t(10))",
		"DROP INDEX t ON d.t":                     "DROP INDEX t ON `e`.`nt`",
		"CREATE DATABASE d CHARACTER SET utf8mb4": "CREATE DATABASE IF NOT EXISTS `e` CHARACTER SET utf8mb4",
		"CREATE SCHEMA IF NOT EXISTS `d`":         "CREATE SCHEMA IF NOT EXISTS `e`",
		"ALTER DATABASE d COLLATE utf8mb4_bin":    "ALTER DATABASE `e` COLLATE utf8mb4_bin",
		"ALTER DATABASE COLLATE utf8mb4_bin":      "ALTER DATABASE COLLATE utf8mb4_bin",
		"DROP DATABASE IF EXISTS d":               "DROP DATABASE IF EXISTS `e`",
		// All names stay the same: what the complete parser does not know is no matter.
		"CREATE TABLE x.y (id UUID) WITH SYSTEM VERSIONING": "CREATE TABLE x.y (id UUID) WITH SYSTEM VERSIONING",
		"ALTER TABLE x.y NOWAIT ADD PERIOD FOR p (a, b)":    "ALTER TABLE x.y NOWAIT ADD PERIOD FOR p (a, b)",
	} {
		s, err := ddl.Parse(text, ddl.Session{Schema: "d"})
		require.NoError(t, err, text)
		renamed, err := s.Rename(prefixed{})
		require.NoError(t, err, text)
		require.Equal(t, want, renamed.Text)
		again, err := ddl.Parse(renamed.Text, ddl.Session{Schema: renamed.Default})
		require.NoError(t, err, text)
		require.Equal(t, renamed.Tables, again.Tables, text)
		require.Equal(t, renamed.Renames, again.Renames, text)
		require.Equal(t, renamed.Like, again.Like, text)
		require.Equal(t, renamed.Schema, again.Schema, text)
		if renamed.Text != text {
			require.Empty(t, renamed.Default, text)
		}
	}
}

func TestRenameRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"CREATE TABLE t (id UUID)", "CREATE TABLE t (a VARCHAR(9) /*M!100301 COMPRESSED*/)", "CREATE OR REPLACE TABLE t (id INT)",
		"ALTER TABLE t NOWAIT ADD a INT", "CREATE TABLE t (a INT) ENGINE=MERGE UNION=(u, v)", "CREATE TABLE t (a INT, CHECK (t.a > 1))",
		"CREATE TABLE t AS SELECT * FROM u", "DROP TABLE t; DROP TABLE u", "CREATE TABLE t (a INT DEFAULT NEXTVAL(u))",
	} {
		s, err := ddl.Parse(text, ddl.Session{Schema: "d"})
		require.NoError(t, err, text)
		_, err = s.Rename(prefixed{})
		require.ErrorIs(t, err, ddl.ErrUnknown, text)
	}
	s, err := ddl.Parse("DROP TABLE bad.t", ddl.Session{})
	require.NoError(t, err)
	_, err = s.Rename(prefixed{})
	require.ErrorIs(t, err, errBad)
}

func TestRenameQuotes(t *testing.T) {
	t.Parallel()
	s, err := ddl.Parse(`CREATE TABLE "d"."t" ("c" INT DEFAULT '\')`, ddl.Session{ANSIQuotes: true, SQLMode: 1 << 20})
	require.NoError(t, err)
	renamed, err := s.Rename(prefixed{})
	require.NoError(t, err)
	require.Equal(t, "CREATE TABLE `e`.`nt` (\"c\" INT DEFAULT '\\')", renamed.Text)
}

func TestRenameCreate(t *testing.T) {
	t.Parallel()
	text, err := ddl.RenameCreate("CREATE TABLE `t` (\n  `id` uuid NOT NULL,\n  `references` int COMMENT 'REFERENCES `u`',\n"+
		"  CONSTRAINT `t` FOREIGN KEY (`id`) REFERENCES `u` (`id`),\n  CONSTRAINT `f2` FOREIGN KEY (`id`) REFERENCES `x`.`y` (`id`)\n)", "d", prefixed{})
	require.NoError(t, err)
	require.Equal(t, "CREATE TABLE `e`.`nt` (\n  `id` uuid NOT NULL,\n  `references` int COMMENT 'REFERENCES `u`',\n"+
		"  CONSTRAINT `t` FOREIGN KEY (`id`) REFERENCES `e`.`nu` (`id`),\n  CONSTRAINT `f2` FOREIGN KEY (`id`) REFERENCES `x`.`y` (`id`)\n)", text)
	text, err = ddl.RenameCreate("CREATE DATABASE /*!32312 IF NOT EXISTS*/ `d` /*!40100 DEFAULT CHARACTER SET utf8mb4 */", "", prefixed{})
	require.NoError(t, err)
	require.Equal(t, "CREATE DATABASE /*!32312 IF NOT EXISTS*/ `e` /*!40100 DEFAULT CHARACTER SET utf8mb4 */", text)
	_, err = ddl.RenameCreate("CREATE VIEW v AS SELECT 1", "d", prefixed{})
	require.ErrorIs(t, err, ddl.ErrUnknown)
}

func FuzzRename(f *testing.F) {
	for _, text := range []string{
		"CREATE TABLE t (a INT REFERENCES u (a), t INT)", "DROP TABLE IF EXISTS `t`, x.y", "RENAME TABLE a TO b, c TO d", "ALTER TABLE t RENAME = u",
		"/*!50100 CREATE*/ TABLE x LIKE t", "ALTER DATABASE COLLATE utf8mb4_bin", "CREATE DATABASE d", "ALTER TABLE t ADD CHECK (t.a > 'REFERENCES x')",
	} {
		f.Add(text, true)
	}
	f.Fuzz(func(t *testing.T, text string, ansi bool) {
		s, err := ddl.Parse(text, ddl.Session{Schema: "d", ANSIQuotes: ansi})
		if err != nil {
			return
		}
		renamed, err := s.Rename(prefixed{})
		if err != nil || renamed.Text == s.Text {
			return
		}
		// The new text names what the renamed statement says it names, and nothing of schema d.
		again, err := ddl.Parse(renamed.Text, ddl.Session{ANSIQuotes: ansi})
		require.NoError(t, err)
		require.Equal(t, renamed.Tables, again.Tables)
		for _, n := range again.Tables {
			require.NotEqual(t, "d", n.Schema)
		}
	})
}

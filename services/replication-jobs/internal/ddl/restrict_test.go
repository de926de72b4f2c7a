package ddl_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
)

// chosen selects schema d, except tables that begin with x, and d alone.
type chosen struct{}

func (chosen) Schema(schema string) bool { return schema == "d" }
func (chosen) Table(schema, table string) bool {
	return schema == "d" && table[0] != 'x'
}

func TestRestrict(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{ // "" when nothing is left
		"CREATE TABLE t (id INT)": "CREATE TABLE t (id INT)", "CREATE TABLE xt (id INT)": "", "CREATE TABLE e.t (id INT)": "",
		"DROP TABLE t, u": "DROP TABLE t, u", "DROP TABLE xt": "",
		"DROP TABLE t, xt, e.t, `a``b`": "DROP TABLE `d`.`t`, `d`.`a``b`", "DROP TABLE IF EXISTS xt, t": "DROP TABLE IF EXISTS `d`.`t`",
		"TRUNCATE xt": "", "TRUNCATE t": "TRUNCATE t", "CREATE INDEX i ON xt (a)": "", "ALTER TABLE xt ADD a INT": "",
		"RENAME TABLE t TO u": "RENAME TABLE t TO u", "RENAME TABLE t TO xt": "RENAME TABLE t TO xt", "RENAME TABLE e.a TO e.b": "",
		"RENAME TABLE t TO u, e.a TO e.b":           "RENAME TABLE `d`.`t` TO `d`.`u`",
		"RENAME TABLE t TO xtmp, u TO t, xtmp TO u": "RENAME TABLE t TO xtmp, u TO t, xtmp TO u",
		"ALTER TABLE t RENAME TO xt":                "ALTER TABLE t RENAME TO xt",
		"CREATE DATABASE d":                         "CREATE DATABASE d", "DROP DATABASE e": "", "CREATE VIEW v AS SELECT 1": "",
	} {
		s, err := ddl.Parse(text, ddl.Session{Schema: "d"})
		require.NoError(t, err, text)
		kept, ok, err := s.Restrict(chosen{})
		require.NoError(t, err, text)
		require.Equal(t, want != "", ok, text)
		if ok {
			require.Equal(t, want, kept.Text)
		}
	}
}

func TestRestrictRefusesTablesThatEnter(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"RENAME TABLE xt TO t", "RENAME TABLE e.t TO d.t", "ALTER TABLE xt RENAME TO t", "RENAME TABLE t TO xold, xnew TO t",
	} {
		s, err := ddl.Parse(text, ddl.Session{Schema: "d"})
		require.NoError(t, err, text)
		_, _, err = s.Restrict(chosen{})
		require.ErrorIs(t, err, ddl.ErrEnters, text)
	}
	s, err := ddl.Parse("ALTER TABLE xt EXCHANGE PARTITION p WITH TABLE t", ddl.Session{Schema: "d"})
	require.NoError(t, err)
	_, _, err = s.Restrict(chosen{})
	require.ErrorIs(t, err, ddl.ErrUnknown)
}

package ddl_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
)

func TestSplitKeys(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		without string
		keys    []string
	}{
		"CREATE TABLE `t` (`a` int, `b` int, PRIMARY KEY (`a`), KEY `b` (`b`), UNIQUE KEY `u` (`b`,`a`), KEY `KEY` (`a` DESC,`b`) COMMENT 'x, KEY')": {
			"CREATE TABLE `t` (`a` int, `b` int, PRIMARY KEY (`a`), UNIQUE KEY `u` (`b`,`a`))",
			[]string{"ADD KEY IF NOT EXISTS `b` (`b`)", "ADD KEY IF NOT EXISTS `KEY` (`a` DESC,`b`) COMMENT 'x, KEY'"},
		},
		"CREATE TABLE `t` (`KEY` text, FULLTEXT KEY `f` (`KEY`), SPATIAL KEY `s` (`p`)) COMMENT='KEY (a)' AUTO_INCREMENT=5": {
			"CREATE TABLE `t` (`KEY` text, FULLTEXT KEY `f` (`KEY`), SPATIAL KEY `s` (`p`)) COMMENT='KEY (a)' AUTO_INCREMENT=5", nil,
		},
		// The second column of the primary key numbers the rows: a key must begin with it.
		"CREATE TABLE `t` (`a` int, `n` int NOT NULL AUTO_INCREMENT, PRIMARY KEY (`a`,`n`), KEY `n` (`n`), KEY `a` (`a`))": {
			"CREATE TABLE `t` (`a` int, `n` int NOT NULL AUTO_INCREMENT, PRIMARY KEY (`a`,`n`), KEY `n` (`n`))", []string{"ADD KEY IF NOT EXISTS `a` (`a`)"},
		},
		"CREATE TABLE `t` (`a` int, KEY `a` (`a`), CONSTRAINT `f` FOREIGN KEY (`a`) REFERENCES `u` (`a`))": {
			"CREATE TABLE `t` (`a` int, KEY `a` (`a`), CONSTRAINT `f` FOREIGN KEY (`a`) REFERENCES `u` (`a`))", nil,
		},
		"CREATE TABLE `t` (`a` int, KEY `a` (`a`) /*!50606 STORAGE DISK */, KEY `b` (`a`)\n)": {"CREATE TABLE `t` (`a` int, KEY `a` (`a`) /*!50606 STORAGE DISK */\n)", []string{"ADD KEY IF NOT EXISTS `b` (`a`)"}},
		"CREATE TABLE `t` LIKE `u`": {"CREATE TABLE `t` LIKE `u`", nil},
	} {
		without, keys := ddl.SplitKeys(text)
		require.Equal(t, want.without, without)
		require.Equal(t, want.keys, keys)
		require.Equal(t, strings.Contains(text, "NOT NULL AUTO_INCREMENT"), ddl.Counts(text), text)
	}
}

func TestReferences(t *testing.T) {
	t.Parallel()
	names, err := ddl.References("CREATE TABLE `t` (`a` int DEFAULT 1 COMMENT 'REFERENCES x', CONSTRAINT `f` FOREIGN KEY (`a`) REFERENCES `u` (`a`), FOREIGN KEY (`a`) REFERENCES `e`.`v` (`b`))", "d")
	require.NoError(t, err)
	require.Equal(t, []ddl.Name{{Schema: "d", Table: "u"}, {Schema: "e", Table: "v"}}, names)
	_, err = ddl.References("DROP", "d")
	require.Error(t, err)
}

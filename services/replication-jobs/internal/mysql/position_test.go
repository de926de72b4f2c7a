package mysql_test

import (
	"testing"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

const (
	uuidA = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
	uuidB = "4e11fa47-71ca-11e1-9e33-c80aa9429562"
)

func TestDetect(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]string{
		"10.11.6-MariaDB-0+deb12u1-log": "mariadb", "5.5.5-10.6.1-MARIADB": "mariadb",
		"8.0.36": "mysql", "5.7.44-log": "mysql", "8.4.0": "mysql", "": "mysql",
	} {
		require.Equal(t, want, mysql.Detect(version).Name(), version)
	}
}

func TestCovers(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		version   string
		at, other mysql.Position
		want      bool
	}{
		"mariadb before":        {"MariaDB", mysql.Position{GTIDSet: "0-1-10,2-1-3"}, mysql.Position{GTIDSet: "0-1-10"}, true},
		"mariadb after":         {"MariaDB", mysql.Position{GTIDSet: "0-1-10"}, mysql.Position{GTIDSet: "0-2-11"}, false},
		"mariadb new domain":    {"MariaDB", mysql.Position{GTIDSet: "0-1-10"}, mysql.Position{GTIDSet: "7-1-1"}, false},
		"mysql inside":          {"8.0.36", mysql.Position{GTIDSet: uuidA + ":1-10"}, mysql.Position{GTIDSet: uuidA + ":10"}, true},
		"mysql in a gap":        {"8.0.36", mysql.Position{GTIDSet: uuidA + ":1-5:7-9"}, mysql.Position{GTIDSet: uuidA + ":6"}, false},
		"mysql other source":    {"8.0.36", mysql.Position{GTIDSet: uuidA + ":1-5"}, mysql.Position{GTIDSet: uuidB + ":1"}, false},
		"mysql inside a tag":    {"8.4.3", mysql.Position{GTIDSet: uuidA + ":1-5:backup:1-3"}, mysql.Position{GTIDSet: uuidA + ":backup:3"}, true},
		"mysql behind a tag":    {"8.4.3", mysql.Position{GTIDSet: uuidA + ":1-5:backup:1-3"}, mysql.Position{GTIDSet: uuidA + ":backup:4"}, false},
		"mysql another tag":     {"8.4.3", mysql.Position{GTIDSet: uuidA + ":1-5:backup:1-3"}, mysql.Position{GTIDSet: uuidA + ":restore:1"}, false},
		"mysql no tag":          {"8.4.3", mysql.Position{GTIDSet: uuidA + ":backup:1-9"}, mysql.Position{GTIDSet: uuidA + ":1"}, false},
		"file before":           {"5.7.44", mysql.Position{File: "bin.000012", Offset: 104}, mysql.Position{File: "bin.000012", Offset: 104}, true},
		"file after":            {"5.7.44", mysql.Position{File: "bin.000012", Offset: 104}, mysql.Position{File: "bin.000012", Offset: 105}, false},
		"file numbers":          {"5.7.44", mysql.Position{File: "bin.1000000", Offset: 4}, mysql.Position{File: "bin.999999", Offset: 5000}, true},
		"gtids win over files":  {"MariaDB", mysql.Position{File: "a.000001", Offset: 4, GTIDSet: "0-1-5"}, mysql.Position{File: "a.000009", Offset: 9, GTIDSet: "0-1-5"}, true},
		"nothing covers little": {"MariaDB", mysql.Position{}, mysql.Position{GTIDSet: "0-1-1"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			flavor := mysql.Detect(tc.version)
			at, err := mysql.ParsePoint(flavor, tc.at)
			require.NoError(t, err)
			other, err := mysql.ParsePoint(flavor, tc.other)
			require.NoError(t, err)
			require.Equal(t, tc.want, at.Covers(other))
		})
	}
}

func TestParsePointRefusesTheOtherFlavor(t *testing.T) {
	t.Parallel()
	_, err := mysql.ParsePoint(mysql.Detect("MariaDB"), mysql.Position{GTIDSet: uuidA + ":1-10"})
	require.ErrorContains(t, err, "not a MariaDB GTID position")
	_, err = mysql.ParsePoint(mysql.Detect("8.0.36"), mysql.Position{GTIDSet: "0-1-10"})
	require.ErrorContains(t, err, "not a MySQL GTID set")
}

// A job adds each transaction to the set that it has executed, and asks the source for what is not in it: as text, and as the protocol's bytes.
func TestSetsWithTags(t *testing.T) {
	t.Parallel()
	set, err := mysql.Detect("8.4.3").ParseGTIDSet(uuidA + ":1-5, " + uuidB + ":Backup:1-2:7")
	require.NoError(t, err)
	for _, gtid := range []string{uuidA + ":6", uuidB + ":backup:3", uuidB + ":1", uuidB + ":restore:1"} {
		require.NoError(t, set.Update(gtid))
	}
	const want = uuidA + ":1-6," + uuidB + ":1:backup:1-3:7:restore:1"
	require.Equal(t, want, set.String())
	again, err := mysql.Detect("8.4.3").ParseGTIDSet(set.String())
	require.NoError(t, err)
	require.True(t, again.Equal(set))
	sent, err := gomysql.DecodeMysqlGTIDSet(set.Encode())
	require.NoError(t, err)
	require.Equal(t, want, sent.String())
	for _, wrong := range []string{uuidA + ":backup", uuidA + ":back-up:1", ":backup:1"} {
		_, err := mysql.Detect("8.4.3").ParseGTIDSet(wrong)
		require.ErrorContains(t, err, "is not a MySQL GTID set", wrong)
	}
}

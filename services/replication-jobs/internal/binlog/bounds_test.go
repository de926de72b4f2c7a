package binlog

import (
	"encoding/binary"
	"testing"

	"github.com/go-mysql-org/go-mysql/replication"
	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// rawEvent is one as a source would send it, without a checksum.
func rawEvent(kind replication.EventType, ends uint32, body ...byte) []byte {
	raw := binary.LittleEndian.AppendUint32(nil, 1700000000)
	raw = append(raw, byte(kind), 1, 0, 0, 0)
	raw = binary.LittleEndian.AppendUint32(raw, uint32(replication.EventHeaderSize+len(body)))
	raw = append(binary.LittleEndian.AppendUint32(raw, ends), 0, 0)
	return append(raw, body...)
}

func rawQuery(ends uint32, text string) []byte {
	return rawEvent(replication.QUERY_EVENT, ends, append(make([]byte, 14), text...)...)
}

func rawRotate(file string) []byte {
	return rawEvent(replication.ROTATE_EVENT, 0, append([]byte{4, 0, 0, 0, 0, 0, 0, 0}, file...)...)
}

func mariaGTID(n uint64, flags byte) []byte {
	body := binary.LittleEndian.AppendUint64(nil, n)
	return rawEvent(replication.MARIADB_GTID_EVENT, 100, append(body, 0, 0, 0, 0, flags)...)
}

func mysqlGTID(kind replication.EventType, n uint64) []byte {
	body := append([]byte{0}, serverUUID[:]...)
	return rawEvent(kind, 100, binary.LittleEndian.AppendUint64(body, n)...)
}

func TestBounds(t *testing.T) {
	t.Parallel()
	const standalone = 1
	rows := rawEvent(replication.WRITE_ROWS_EVENTv2, 300, 1, 2, 3)
	xid := rawEvent(replication.XID_EVENT, 400, 1, 0, 0, 0, 0, 0, 0, 0)
	uuid := serverUUID.String()
	for name, tc := range map[string]struct {
		version, start string
		events         [][]byte
		ends           []int // which of the events
		end            string
	}{
		"MariaDB, a transaction":       {"11.4-MariaDB", "0-1-1,5-2-3", [][]byte{mariaGTID(2, 0), rows, xid}, []int{2}, "0-1-2,5-2-3"},
		"MariaDB, a definition":        {"11.4-MariaDB", "", [][]byte{mariaGTID(2, standalone), rawQuery(400, "DROP TABLE t")}, []int{1}, "0-1-2"},
		"MariaDB, CREATE SELECT":       {"11.4-MariaDB", "", [][]byte{mariaGTID(2, 0), rawQuery(200, "CREATE TABLE t (i INT)"), rows, xid}, []int{3}, "0-1-2"},
		"MariaDB, without transaction": {"11.4-MariaDB", "", [][]byte{mariaGTID(2, 0), rows, rawQuery(400, "COMMIT")}, []int{2}, "0-1-2"},
		"a savepoint": {"11.4-MariaDB", "", [][]byte{
			mariaGTID(2, 0), rawQuery(200, "SAVEPOINT a"), rows, rawQuery(300, "ROLLBACK TO a"), rawQuery(400, "ROLLBACK"),
		}, []int{4}, "0-1-2"},
		"XA":          {"11.4-MariaDB", "", [][]byte{mariaGTID(2, 0), rawQuery(200, "XA START 'x'"), rows, rawEvent(replication.XA_PREPARE_LOG_EVENT, 400, 0)}, []int{3}, "0-1-2"},
		"XA, decided": {"11.4-MariaDB", "", [][]byte{mariaGTID(3, standalone), rawQuery(400, "XA COMMIT 'x'")}, []int{1}, "0-1-3"},
		"MySQL, a transaction": {"8.4.0", uuid + ":1-8", [][]byte{
			mysqlGTID(replication.GTID_EVENT, 9), rawQuery(200, "BEGIN"), rows, xid,
		}, []int{3}, uuid + ":1-9"},
		"MySQL, a definition": {"8.4.0", uuid + ":1-8", [][]byte{mysqlGTID(replication.GTID_EVENT, 9), rawQuery(400, "DROP TABLE t")}, []int{1}, uuid + ":1-9"},
		"MySQL, compressed": {"8.4.0", uuid + ":1-8", [][]byte{
			mysqlGTID(replication.GTID_EVENT, 9), rawEvent(replication.TRANSACTION_PAYLOAD_EVENT, 400, 1, 2, 3),
		}, []int{1}, uuid + ":1-9"},
		"MySQL, a tag":      {"8.4.0", uuid + ":1-8", [][]byte{taggedEvent("nightly", 5), rawQuery(200, "BEGIN"), rows, xid}, []int{3}, uuid + ":1-8:nightly:5"},
		"MySQL, no numbers": {"8.4.0", "", [][]byte{mysqlGTID(replication.ANONYMOUS_GTID_EVENT, 0), rawQuery(200, "BEGIN"), rows, xid}, []int{3}, ""},
		"a source that crashed": {"11.4-MariaDB", "", [][]byte{
			mariaGTID(2, 0), rows, rawRotate("bin.000004"), mariaGTID(2, 0), rows, xid,
		}, []int{5}, "0-1-2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, err := NewBounds(mysql.Detect(tc.version), mysql.Position{File: "bin.000002", Offset: 4, GTIDSet: tc.start})
			require.NoError(t, err)
			var ends []int
			for i, raw := range append([][]byte{rawRotate("bin.000003")}, tc.events...) {
				mark, err := b.See(raw)
				require.NoError(t, err)
				if mark == Ends {
					ends = append(ends, i-1)
				}
				require.Equal(t, i == 1 || raw[4] == byte(replication.MARIADB_GTID_EVENT), mark == Begins)
			}
			require.Equal(t, tc.ends, ends)
			require.False(t, b.Inside())
			end := b.End()
			require.Equal(t, tc.end, end.GTIDSet)
			require.Equal(t, b.File(), end.File)
			require.Equal(t, uint32(400), end.Offset)
		})
	}
}

func FuzzBounds(f *testing.F) {
	f.Add(mariaGTID(1, 1), rawQuery(300, "BEGIN"))
	f.Add(mysqlGTID(replication.GTID_EVENT, 1), rawRotate("bin.000009"))
	f.Add(taggedEvent("x", 1), rawEvent(replication.XID_EVENT, 1))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		for _, version := range []string{"11.4-MariaDB", "8.4.0"} {
			b, err := NewBounds(mysql.Detect(version), mysql.Position{})
			require.NoError(t, err)
			for _, raw := range [][]byte{first, second} {
				if mark, err := b.See(raw); err == nil && mark == Ends {
					_, err := mysql.ParsePoint(mysql.Detect(version), b.End())
					require.NoError(t, err)
				}
			}
		}
	})
}

package binlog

import (
	"encoding/binary"
	"testing"

	"github.com/go-mysql-org/go-mysql/replication"
	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// taggedEvent writes a GTID_TAGGED_LOG_EVENT as the server's documentation describes mysql::serialization: each field behind its number, and
// numbers of variable length with as many ones at their end as bytes follow the first.
func taggedEvent(tag string, n int64) []byte {
	unsigned := func(v uint64) []byte {
		if v < 1<<7 {
			return []byte{byte(v << 1)}
		}
		return binary.LittleEndian.AppendUint16(nil, uint16(v<<2|1))
	}
	signed := func(v int64) []byte { return unsigned(uint64(v) << 1) }
	var fields []byte
	field := func(id byte, value ...byte) { fields = append(append(fields, id<<1), value...) }
	field(0, unsigned(1)...) // flags
	var id []byte
	for _, b := range serverUUID {
		id = append(id, unsigned(uint64(b))...)
	}
	field(1, id...)
	field(2, signed(n)...)
	field(3, append([]byte{byte(len(tag) << 1)}, tag...)...)
	field(4, signed(100)...)    // last committed
	field(5, signed(101)...)    // sequence number
	field(6, unsigned(1700)...) // immediate commit timestamp; the original one, field 7, is the same and left out
	field(8, unsigned(300)...)  // length of the transaction
	field(9, unsigned(8403)...) // server version; the original one, field 10, is the same and left out
	body := append([]byte{0, byte((len(fields) + 3) << 1), 0}, fields...)

	size := replication.EventHeaderSize + len(body)
	event := binary.LittleEndian.AppendUint32(nil, 1700000000)
	event = append(event, byte(replication.GTID_TAGGED_LOG_EVENT))
	event = binary.LittleEndian.AppendUint32(event, 1)
	event = binary.LittleEndian.AppendUint32(event, uint32(size))
	event = binary.LittleEndian.AppendUint32(event, uint32(1000+size))
	return append(append(event, 0, 0), body...)
}

// TestTaggedGTIDs reads the event as bytes, up to the set that the job stores.
func TestTaggedGTIDs(t *testing.T) {
	t.Parallel()
	flavor := mysql.Detect("8.4.3")
	executed, err := flavor.ParseGTIDSet(serverUUID.String() + ":1-9:backup:1-999")
	require.NoError(t, err)
	for _, tc := range []struct {
		tag  string
		n    int64
		gtid string
	}{
		{"backup", 1000, ":backup:1000"}, {"a_tag_of_thirty_two_characters__", 1, ":a_tag_of_thirty_two_characters__:1"}, {"", 10, ":10"},
	} {
		event, err := replication.NewBinlogParser().Parse(taggedEvent(tc.tag, tc.n))
		require.NoError(t, err)
		l := newLog(t, 1<<20)
		require.NoError(t, l.assembler.handle(event))
		l.write(query("BEGIN"), l.rows("a"), &replication.XIDEvent{})
		require.Len(t, l.out, 1)
		require.Equal(t, serverUUID.String()+tc.gtid, l.out[0].GTID)
		gtid, err := flavor.ParseGTIDSet(l.out[0].GTID)
		require.NoError(t, err)
		require.False(t, executed.Contain(gtid))
		require.NoError(t, executed.Update(l.out[0].GTID))
		require.True(t, executed.Contain(gtid), "the same transaction, sent again, has no effect")
	}
	require.Equal(t, serverUUID.String()+":1-10:a_tag_of_thirty_two_characters__:1:backup:1-1000", executed.String())
}

package binlog

import (
	"encoding/hex"
	"testing"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

type everything struct{}

func (everything) Schema(string) bool         { return true }
func (everything) Table(_, table string) bool { return table != "left_out" }

// log feeds an assembler with events as a server would write them.
type log struct {
	t         *testing.T
	assembler *assembler
	out       []*Transaction
	offset    uint32
}

func newLog(t *testing.T, partBytes int64) *log {
	l := &log{t: t}
	l.assembler = newAssembler(everything{}, partBytes, func(tx *Transaction) error {
		l.out = append(l.out, tx)
		return nil
	})
	l.write(&replication.RotateEvent{NextLogName: []byte("bin.000007")})
	return l
}

func (l *log) write(events ...replication.Event) *log {
	l.t.Helper()
	for _, e := range events {
		require.NoError(l.t, l.try(e))
	}
	return l
}

func (l *log) try(e replication.Event) error {
	l.offset += 100
	return l.assembler.handle(&replication.BinlogEvent{Header: &replication.EventHeader{EventSize: 100, LogPos: l.offset, Timestamp: 1700000000}, Event: e})
}

func (l *log) rows(table string) *replication.RowsEvent {
	e := &replication.RowsEvent{}
	if table != "left_out" {
		l.assembler.headers[e] = &Rows{Schema: "s", Table: table, Kind: Insert}
	}
	return e
}

func query(text string) *replication.QueryEvent {
	return &replication.QueryEvent{Schema: []byte("s"), Query: []byte(text)}
}

func mariadbGTID(n uint64, flags byte) *replication.MariadbGTIDEvent {
	return &replication.MariadbGTIDEvent{GTID: gomysql.MariadbGTID{DomainID: 3, ServerID: 9, SequenceNumber: n}, Flags: flags}
}

var serverUUID = uuid.MustParse("3e11fa47-71ca-11e1-9e33-c80aa9429562")

func TestMariaDBTransactions(t *testing.T) {
	t.Parallel()
	l := newLog(t, 1<<20)
	l.write(mariadbGTID(1, 0), l.rows("a"), l.rows("left_out"), l.rows("b"), &replication.XIDEvent{})
	l.write(mariadbGTID(2, 0), l.rows("left_out"), query("COMMIT"))
	l.write(mariadbGTID(3, replication.BINLOG_MARIADB_FL_STANDALONE|replication.BINLOG_MARIADB_FL_DDL), query("CREATE TABLE t (id INT)"))
	require.Len(t, l.out, 3)
	first := l.out[0]
	require.Equal(t, "3-9-1", first.GTID)
	require.Equal(t, mysql.Position{File: "bin.000007", Offset: 600}, first.Position)
	require.EqualValues(t, 1700000000, first.Timestamp.Unix())
	require.Len(t, first.Changes, 2)
	require.True(t, first.First && first.Last)
	require.Empty(t, l.out[1].Changes)
	require.Equal(t, ddl.CreateTable, l.out[2].Definition.Kind)
	require.Equal(t, "s", l.out[2].Definition.Session.Schema)
}

func TestMySQLTransactions(t *testing.T) {
	t.Parallel()
	l := newLog(t, 1<<20)
	gtid := func(n int64) *replication.GTIDEvent { return &replication.GTIDEvent{SID: serverUUID[:], GNO: n} }
	l.write(gtid(1), query("BEGIN"), l.rows("a"), &replication.XIDEvent{})
	l.write(gtid(2), query("ALTER TABLE t ADD c INT"))
	l.write(&replication.GtidTaggedLogEvent{GTIDEvent: replication.GTIDEvent{SID: serverUUID[:], GNO: 3, Tag: gomysql.NewTag("tag")}},
		&replication.TransactionPayloadEvent{Events: []*replication.BinlogEvent{
			{Header: &replication.EventHeader{LogPos: 1}, Event: query("BEGIN")},
			{Header: &replication.EventHeader{LogPos: 1}, Event: l.rows("a")},
			{Header: &replication.EventHeader{LogPos: 900}, Event: &replication.XIDEvent{}},
		}})
	l.write(&replication.GTIDEvent{}, query("BEGIN"), l.rows("a"), query("COMMIT")) // anonymous
	require.Len(t, l.out, 4)
	require.Equal(t, "3e11fa47-71ca-11e1-9e33-c80aa9429562:1", l.out[0].GTID)
	require.Equal(t, ddl.AlterTable, l.out[1].Definition.Kind)
	require.Equal(t, "3e11fa47-71ca-11e1-9e33-c80aa9429562:tag:3", l.out[2].GTID)
	require.Equal(t, uint32(900), l.out[2].Position.Offset)
	require.Len(t, l.out[2].Changes, 1)
	require.Empty(t, l.out[3].GTID)
	for _, tx := range l.out[:3] {
		_, err := gomysql.ParseMysqlGTIDSet(tx.GTID)
		require.NoError(t, err)
	}
}

func TestTransactionInParts(t *testing.T) {
	t.Parallel()
	l := newLog(t, 600)
	l.write(mariadbGTID(1, 0))
	for range 8 {
		l.write(l.rows("a"))
	}
	l.write(&replication.XIDEvent{})
	require.Len(t, l.out, 3)
	rows := 0
	for i, part := range l.out {
		require.Equal(t, "3-9-1", part.GTID)
		require.Equal(t, i == 0, part.First)
		require.Equal(t, i == 2, part.Last)
		rows += len(part.Changes)
	}
	require.Equal(t, 8, rows)
}

func TestWhatCameFromTheTarget(t *testing.T) {
	t.Parallel()
	l := newLog(t, 600)
	l.assembler.leaveOut = []string{"me", "also-me"}
	record := func(name string) *replication.RowsEvent {
		e := &replication.RowsEvent{}
		l.assembler.headers[e] = &Rows{Schema: "opsdeck", Table: "replication_job", Kind: Update, origin: &name}
		return e
	}
	l.write(mariadbGTID(1, 0), l.rows("a"), record("me"), &replication.XIDEvent{})
	l.write(mariadbGTID(2, 0), record("also-me"))
	for range 8 {
		l.write(l.rows("a"))
	}
	l.write(record("me"), &replication.XIDEvent{})
	l.write(mariadbGTID(3, 0), l.rows("a"), record("another"), &replication.XIDEvent{})
	l.write(mariadbGTID(4, 1), query("/* opsdeck-origin me */ ALTER TABLE t ADD c INT"))
	l.write(mariadbGTID(5, 1), query("/* opsdeck-origin another */ ALTER TABLE t ADD c INT"))
	require.Len(t, l.out, 5)
	for i, want := range []bool{true, true, false, true, false} {
		tx := l.out[i]
		require.Equal(t, want, tx.Returned, i)
		require.True(t, tx.First && tx.Last, i)
		require.Equal(t, want, len(tx.Changes) == 0 && tx.Definition == nil, i)
	}
	l.write(mariadbGTID(6, 0))
	for range 8 {
		l.write(l.rows("a"))
	}
	require.ErrorIs(t, l.try(record("me")), ErrLateOrigin)
}

func TestTableFilledByItsDefinition(t *testing.T) {
	t.Parallel()
	l := newLog(t, 1<<20)
	l.write(mariadbGTID(1, 0), query("CREATE TABLE t (id INT)"), l.rows("t"), &replication.XIDEvent{})
	require.Len(t, l.out, 2)
	require.NotNil(t, l.out[0].Definition)
	require.True(t, l.out[0].First && !l.out[0].Last)
	require.True(t, l.out[1].First && l.out[1].Last, "the rows are a transaction of their own at the target")
}

func TestWhatCannotBeReplicated(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]error{
		"INSERT INTO t VALUES (1)": ddl.ErrRowFormat, "XA START 'x'": ErrXA, "ROLLBACK TO `sp`": ErrRolledBack,
	} {
		l := newLog(t, 1<<20)
		l.write(mariadbGTID(1, 0))
		require.ErrorIs(t, l.try(query(text)), want, text)
	}
	unknown := newLog(t, 1<<20)
	unknown.write(mariadbGTID(1, 1), query("NONSENSE"))
	require.ErrorIs(t, unknown.out[0].Definition.Problem, ddl.ErrUnknown, "the operator decides about it")
	require.Equal(t, "NONSENSE", unknown.out[0].Definition.Text)
	require.ErrorIs(t, generic(replication.INCIDENT_EVENT), ErrIncident)
	require.ErrorIs(t, generic(replication.XA_PREPARE_LOG_EVENT), ErrXA)
	l := newLog(t, 1<<20)
	e := query("DELETE FROM proxies_priv")
	e.Schema = []byte("mysql")
	l.write(mariadbGTID(1, 0), e, query("COMMIT"))
	require.Equal(t, ddl.Ignored, l.out[0].Definition.Kind)
}

func TestRolledBackTransactionIsEmpty(t *testing.T) {
	t.Parallel()
	l := newLog(t, 1<<20)
	l.write(mariadbGTID(1, 0), l.rows("a"), query("SAVEPOINT x"), query("ROLLBACK"))
	require.Len(t, l.out, 1)
	require.Empty(t, l.out[0].Changes)
}

func TestSession(t *testing.T) {
	t.Parallel()
	vars := []byte{
		0, 0, 0, 0, 4, // flags2
		1, 4, 0, 0x20, 0, 0, 0, 0, 0, // sql_mode: ANSI_QUOTES, STRICT_TRANS_TABLES
		6, 3, 's', 't', 'd', // catalog
		131, 2, 45, 0, 0, 9, 33, 0, 1, 9, // default collations of two character sets, before what counts
		4, 28, 0, 28, 0, 8, 0, // gbk, gbk, latin1
		5, 6, 'S', 'Y', 'S', 'T', 'E', 'M',
		7, 1, 0, 8, 8, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 0, // locale, the schema's collation, tables of an update, what was written
		11, 1, 'u', 2, 'h', 'h', // the user on whose behalf it ran
		12, 2, 'x', 0, 'y', 'y', 0, // updated schemas
		128, 0x40, 0xe2, 0x01, // microseconds
		200, 13, 1, 1, 1, // unknown here, ends the scan
	}
	s := parseSession("x", vars)
	require.Equal(t, Session{
		Schema: "x", SQLMode: 0x200004, HasSQLMode: true, HasCharset: true, ClientCharset: 28, ConnectionCollation: 28, ServerCollation: 8, TimeZone: "SYSTEM",
		microseconds: 123456,
	}, s)
	require.True(t, s.ANSIQuotes())
}

func FuzzSession(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 4, 1, 4, 0, 0x20, 0, 0, 0, 0, 0, 4, 28, 0, 28, 0, 8, 0})
	f.Add([]byte{2, 3, 's', 't', 'd', 0, 5, 200})
	f.Add([]byte{1, 1})
	f.Add([]byte{131, 255, 45, 0})
	f.Add([]byte{11, 1, 'u', 9, 'h'})
	f.Add([]byte{12, 2, 'x', 0, 'y'})
	f.Add([]byte{12, 254, 13, 1, 2, 3})
	f.Fuzz(func(t *testing.T, vars []byte) {
		if s := parseSession("x", vars); s.Schema != "x" {
			t.Fatal("the schema is not part of the variables")
		}
	})
}

func TestBudget(t *testing.T) {
	t.Parallel()
	b := newBudget(100)
	require.True(t, b.acquire(500), "what is too large passes alone")
	acquired := make(chan bool)
	go func() { acquired <- b.acquire(60) }()
	select {
	case <-acquired:
		require.Fail(t, "over the limit")
	default:
	}
	b.release(500)
	require.True(t, <-acquired)
	go func() { acquired <- b.acquire(60) }()
	b.close()
	require.False(t, <-acquired)
}

func TestStatementsInOtherCharacterSets(t *testing.T) {
	t.Parallel()
	for id, text := range map[uint16]string{28: "\xd3\xc3\xbb\xa7", 8: "t\xe9", 45: "用户", 250: "\xd3\xc3\xbb\xa7"} {
		s := Session{HasCharset: true, ClientCharset: id}
		got, err := s.unicode([]byte(text))
		require.NoError(t, err)
		require.Contains(t, []string{"用户", "té"}, got)
		require.EqualValues(t, 45, s.ClientCharset)
	}
	s := Session{HasCharset: true, ClientCharset: 33}
	_, err := s.unicode([]byte("\xd3\xc3"))
	require.ErrorIs(t, err, errCharset)
}

func TestAlterInTwoPhases(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		payload string // behind the header, without its checksum
		flags   byte
		want    bool
	}{
		"plain":              {"04000000000000000000000029000000000000", 0x29, false},
		"started":            {"04000000000000000000000029020000000000", 0x29, true},
		"committed":          {"040000000000000000000000290403000000000000", 0x29, false},
		"rolled back":        {"07000000000000000000000029080600000000000000", 0x29, true},
		"group commit":       {"0400000000000000000000002b0900000000000000", 0x2b, false},
		"group, started":     {"0400000000000000000000002b090000000000000002", 0x2b, true},
		"not a definition":   {"04000000000000000000000009020000000000", 0x09, false},
		"prepared elsewhere": {"04000000000000000000000069020000000000", 0x69, false},
	} {
		payload, err := hex.DecodeString(c.payload)
		require.NoError(t, err)
		raw := append(make([]byte, replication.EventHeaderSize), payload...)
		gtid := mariadbGTID(4, c.flags)
		require.Equal(t, c.want, withoutEffect(raw, 0, gtid), name)
		require.Equal(t, c.want, withoutEffect(append(raw, 0xff, 0xff, 0xff, 0xff), 4, gtid), name)
	}
}

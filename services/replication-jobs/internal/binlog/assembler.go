package binlog

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/replication"
	"github.com/google/uuid"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/origin"
)

// ErrXA is returned for XA transactions, which end at another place of the log than their changes.
var ErrXA = errors.New("the source runs XA transactions, which are not replicated")

// ErrIncident is returned when the source itself says that its log has a gap.
var ErrIncident = errors.New("the source reports an incident: its binary log is incomplete; create the job anew")

// ErrLateOrigin is returned for a large transaction that turns out to come from the target when parts of it are on their way back already.
var ErrLateOrigin = errors.New("a large transaction tells too late that it came from the job's target")

// ErrRolledBack is returned for a transaction in parts that the source rolled back after writing it to its log.
var ErrRolledBack = errors.New("the source rolled back a large transaction after logging it")

// overhead is added to the size of events to account for small transactions.
const overhead = 256

// assembler puts events together to transactions. It is used by one goroutine.
type assembler struct {
	selection ddl.Selection
	partBytes int64
	emit      func(*Transaction) error

	file      string
	part      *Transaction // nil between transactions
	open      bool         // a COMMIT follows
	announced bool         // the statement that follows has no effect
	checksum  int          // length of the checksum at the end of each event
	headers   map[*replication.RowsEvent]*Rows
	shapes    shapes   // nil unless metadata is read
	leaveOut  []string // see Config
}

func newAssembler(selection ddl.Selection, partBytes int64, emit func(*Transaction) error) *assembler {
	return &assembler{selection: selection, partBytes: partBytes, emit: emit, headers: map[*replication.RowsEvent]*Rows{}}
}

// keep is the parser's hook for rows events. Of a compressed transaction it gets all of them before handle sees the first.
func (a *assembler) keep(event *replication.RowsEvent, data []byte) error {
	rows, err := decodeHeader(event, data)
	if err != nil {
		return err
	}
	if len(a.leaveOut) > 0 && origin.Recorded(rows.Schema, rows.Table) {
		if err := rows.readOrigin(); err != nil {
			return err
		}
		a.headers[event] = rows
		return nil
	}
	if a.selection.Table(rows.Schema, rows.Table) {
		if rows.Kind == 0 {
			return fmt.Errorf("table %s.%s: %w", rows.Schema, rows.Table, errPartial)
		}
		if a.shapes != nil {
			if rows.Shape, err = a.shapes.of(event.Table); err != nil {
				return err
			}
			if !rows.Shape.unsigned() {
				event.Table = signed(event.Table)
			}
		}
		a.headers[event] = rows
	}
	return nil
}

func (a *assembler) handle(e *replication.BinlogEvent) error {
	switch event := e.Event.(type) {
	case *replication.FormatDescriptionEvent:
		a.checksum = 0
		if event.ChecksumAlgorithm == replication.BINLOG_CHECKSUM_ALG_CRC32 {
			a.checksum = replication.BinlogChecksumLength
		}
	case *replication.RotateEvent:
		a.file = string(event.NextLogName)
	case *replication.MariadbGTIDEvent:
		a.begin(event.GTID.String(), !event.IsStandalone())
		a.announced = withoutEffect(e.RawData, a.checksum, event)
	case *replication.GTIDEvent:
		return a.beginMySQL(event)
	case *replication.GtidTaggedLogEvent:
		return a.beginMySQL(&event.GTIDEvent)
	case *replication.QueryEvent:
		return a.query(e, event)
	case *replication.RowsEvent:
		return a.change(e, event)
	case *replication.XIDEvent:
		return a.commit(e)
	case *replication.TransactionPayloadEvent:
		for _, inner := range event.Events {
			if err := a.handle(inner); err != nil {
				return err
			}
		}
	case *replication.ExecuteLoadQueryEvent:
		return ddl.ErrRowFormat
	case *replication.GenericEvent:
		return generic(e.Header.EventType)
	}
	return nil
}

func generic(kind replication.EventType) error {
	switch kind {
	case replication.XA_PREPARE_LOG_EVENT:
		return ErrXA
	case replication.INCIDENT_EVENT:
		return ErrIncident
	default:
		return nil
	}
}

func (a *assembler) begin(gtid string, open bool) {
	a.part = &Transaction{GTID: gtid, First: true, Bytes: overhead}
	a.open, a.announced = open, false
}

func (a *assembler) beginMySQL(event *replication.GTIDEvent) error {
	gtid, err := gtidText(event)
	if err != nil {
		return err
	}
	a.begin(gtid, false)
	return nil
}

// gtidText is the GTID of an event of MySQL, "" of an anonymous one.
func gtidText(event *replication.GTIDEvent) (string, error) {
	if event.GNO == 0 {
		return "", nil
	}
	id, err := uuid.FromBytes(event.SID)
	if err != nil {
		return "", fmt.Errorf("read the server id of a GTID: %w", err)
	}
	gtid := id.String()
	if tag := event.Tag.String(); tag != "" {
		gtid += ":" + tag
	}
	return gtid + ":" + strconv.FormatInt(event.GNO, 10), nil
}

// transaction is the one under way; a server without GTID events begins one implicitly.
func (a *assembler) transaction() *Transaction {
	if a.part == nil {
		a.begin("", false)
	}
	return a.part
}

func (a *assembler) change(e *replication.BinlogEvent, event *replication.RowsEvent) error {
	rows := a.headers[event]
	delete(a.headers, event)
	if rows == nil {
		return nil
	}
	t := a.transaction()
	if t.Returned || rows.origin != nil {
		return a.mark(rows)
	}
	size := int64(e.Header.EventSize)
	if len(t.Changes) > 0 && t.Bytes+size > a.partBytes {
		if err := a.flush(e); err != nil {
			return err
		}
		t = a.part
	}
	rows.Offset = e.Header.LogPos - e.Header.EventSize
	t.Changes = append(t.Changes, rows)
	t.Bytes += size
	return nil
}

// mark leaves out a transaction that a job has brought from the server that the changes go to.
func (a *assembler) mark(rows *Rows) error {
	t := a.part
	if t.Returned || !slices.Contains(a.leaveOut, *rows.origin) {
		return nil
	}
	if !t.First {
		return ErrLateOrigin
	}
	t.Returned, t.Changes = true, nil
	return nil
}

// flush emits what there is as a part and goes on with the next one.
func (a *assembler) flush(e *replication.BinlogEvent) error {
	t := a.part
	a.date(t, e)
	a.part = &Transaction{GTID: t.GTID, Thread: t.Thread, Bytes: overhead}
	return a.emit(t)
}

func (a *assembler) commit(e *replication.BinlogEvent) error {
	t := a.transaction()
	a.part, a.open = nil, false
	t.Last = true
	a.date(t, e)
	return a.emit(t)
}

// date notes when, where and by which server a part was logged.
func (a *assembler) date(t *Transaction, e *replication.BinlogEvent) {
	t.Timestamp = time.Unix(int64(e.Header.Timestamp), 0)
	t.Position = a.position(e)
	t.ServerID = e.Header.ServerID
}

func (a *assembler) position(e *replication.BinlogEvent) mysql.Position {
	return mysql.Position{File: a.file, Offset: e.Header.LogPos}
}

func (a *assembler) query(e *replication.BinlogEvent, event *replication.QueryEvent) error {
	text := string(event.Query)
	verb, _, _ := strings.Cut(strings.TrimLeft(text, " \t\r\n"), " ")
	switch strings.ToUpper(verb) {
	case "BEGIN":
		a.transaction().Thread = event.SlaveProxyID
		a.open = true
		return nil
	case "COMMIT":
		return a.commit(e)
	case "ROLLBACK":
		return a.rollback(e, text)
	case "SAVEPOINT", "RELEASE":
		return nil
	case "XA":
		return ErrXA
	}
	if a.announced {
		return a.commit(e)
	}
	if origin.Marked(text, a.leaveOut) {
		a.transaction().Returned = true
		return a.commit(e)
	}
	return a.define(e, event)
}

// rollback ends a transaction without effect; ROLLBACK TO would leave part of it, which cannot be told from the rest.
func (a *assembler) rollback(e *replication.BinlogEvent, text string) error {
	t := a.transaction()
	if !t.First || !strings.EqualFold(strings.TrimSpace(text), "ROLLBACK") {
		return ErrRolledBack
	}
	t.Changes = nil
	return a.commit(e)
}

// define handles a statement. It is a transaction of its own, or the CREATE TABLE at the head of the rows that fill the table.
func (a *assembler) define(e *replication.BinlogEvent, event *replication.QueryEvent) error {
	session := parseSession(string(event.Schema), event.StatusVars)
	session.Time = time.Unix(int64(e.Header.Timestamp), session.microseconds*int64(time.Microsecond))
	text, err := session.unicode(event.Query)
	if err != nil {
		return fmt.Errorf("statement at %s: %w", a.position(e), err)
	}
	statement, err := ddl.Parse(text, ddl.Session{Schema: session.Schema, ANSIQuotes: session.ANSIQuotes(), SQLMode: session.SQLMode})
	switch {
	case err == nil:
	case systemSchema(session.Schema):
		statement, err = ddl.Statement{Kind: ddl.Ignored, Text: text, What: "statement on a system schema"}, nil
	case errors.Is(err, ddl.ErrRowFormat):
		return fmt.Errorf("statement at %s: %w", a.position(e), err)
	default:
		statement = ddl.Statement{Text: text}
	}
	t := a.transaction()
	if len(t.Changes) > 0 || !t.First {
		return fmt.Errorf("statement at %s: %w inside a transaction: %s", a.position(e), ddl.ErrUnknown, ddl.Excerpt(text))
	}
	t.Thread = event.SlaveProxyID
	t.Definition = &Definition{Statement: statement, Position: a.position(e), Session: session, Problem: err, ErrorCode: event.ErrorCode}
	t.Bytes += int64(e.Header.EventSize)
	if !a.open {
		return a.commit(e)
	}
	if err := a.flush(e); err != nil {
		return err
	}
	a.part.First = true // the statement was committed by itself
	return nil
}

// systemSchema names the schemas in which the servers' own scripts write statements.
func systemSchema(name string) bool {
	return name == "mysql" || name == "sys"
}

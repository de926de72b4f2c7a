package binlog

import (
	"fmt"
	"strings"
	"time"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// Mark is what an event does to the transaction that it stands in.
type Mark uint8

// The marks of events.
const (
	// Within is an event of a transaction, or one between two that changes nothing.
	Within Mark = iota
	// Begins is the first event of a transaction.
	Begins
	// Ends is the last one.
	Ends
)

// Bounds finds the transactions in a binary log whose events it sees as bytes, without reading what they change.
type Bounds struct {
	flavor   mysql.Flavor
	parser   *replication.BinlogParser
	at       mysql.Position // its GTIDSet is in executed
	executed gomysql.GTIDSet
	file     string

	gtid         string
	inside, open bool
	format       []byte
	time         time.Time
}

// NewBounds returns bounds of a log that is read from behind a position on. It fails if the flavor does not know such GTIDs.
func NewBounds(flavor mysql.Flavor, start mysql.Position) (*Bounds, error) {
	executed, err := flavor.ParseGTIDSet(start.GTIDSet)
	if err != nil {
		return nil, err
	}
	parser := replication.NewBinlogParser()
	parser.SetFlavor(flavor.Name())
	return &Bounds{flavor: flavor, parser: parser, at: start, executed: executed, file: start.File}, nil
}

// End is the position behind the last transaction that has ended.
func (b *Bounds) End() mysql.Position {
	at := b.at
	at.GTIDSet = b.executed.String()
	return at
}

// File is the source's file that the last event stands in.
func (b *Bounds) File() string { return b.file }

// Inside reports whether a transaction has begun and not ended.
func (b *Bounds) Inside() bool { return b.inside }

// Format is the last event that describes the format of those behind it; nil before there was one.
func (b *Bounds) Format() []byte { return b.format }

// Time is when the source logged the last event that says so.
func (b *Bounds) Time() time.Time { return b.time }

// GTID is that of the last transaction that has begun; "" without one.
func (b *Bounds) GTID() string { return b.gtid }

// See takes the next event.
func (b *Bounds) See(raw []byte) (mark Mark, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("an event of the binary log cannot be read: %v", p)
		}
	}()
	header := &replication.EventHeader{}
	if err := header.Decode(raw); err != nil {
		return Within, err
	}
	if header.Timestamp != 0 && header.EventType != replication.HEARTBEAT_EVENT {
		b.time = time.Unix(int64(header.Timestamp), 0)
	}
	switch header.EventType {
	case replication.XID_EVENT, replication.XA_PREPARE_LOG_EVENT, replication.TRANSACTION_PAYLOAD_EVENT:
		return Ends, b.end(header.LogPos)
	case replication.FORMAT_DESCRIPTION_EVENT, replication.ROTATE_EVENT, replication.MARIADB_GTID_EVENT, replication.GTID_EVENT,
		replication.ANONYMOUS_GTID_EVENT, replication.GTID_TAGGED_LOG_EVENT, replication.QUERY_EVENT, replication.MARIADB_QUERY_COMPRESSED_EVENT:
		return b.look(raw)
	default:
		return Within, nil
	}
}

// look reads an event that the bounds depend on.
func (b *Bounds) look(raw []byte) (Mark, error) {
	e, err := b.parser.Parse(raw)
	if err != nil {
		return Within, err
	}
	switch event := e.Event.(type) {
	case *replication.FormatDescriptionEvent:
		b.format = raw
	case *replication.RotateEvent:
		b.file = string(event.NextLogName)
	case *replication.MariadbGTIDEvent:
		return b.begin(event.GTID.String(), !event.IsStandalone()), nil
	case *replication.GTIDEvent:
		return b.beginMySQL(event)
	case *replication.GtidTaggedLogEvent:
		return b.beginMySQL(&event.GTIDEvent)
	case *replication.QueryEvent:
		return b.query(e.Header, string(event.Query))
	}
	return Within, nil
}

func (b *Bounds) beginMySQL(event *replication.GTIDEvent) (Mark, error) {
	gtid, err := gtidText(event)
	if err != nil {
		return Within, err
	}
	return b.begin(gtid, false), nil
}

// begin begins a transaction. One before it that has not ended was lost with its server.
func (b *Bounds) begin(gtid string, open bool) Mark {
	b.gtid, b.open, b.inside = gtid, open, true
	return Begins
}

// query ends a transaction that consists of a statement, or that ends with one.
func (b *Bounds) query(header *replication.EventHeader, text string) (Mark, error) {
	words := strings.Fields(strings.ToUpper(text[:min(len(text), 40)]))
	first, second := "", ""
	if len(words) > 0 {
		first = words[0]
	}
	if len(words) > 1 {
		second = words[1]
	}
	switch {
	case first == "BEGIN", first == "XA" && second == "START":
		b.open = true
		return Within, nil
	case first == "COMMIT", first == "ROLLBACK" && second != "TO", !b.open:
		return Ends, b.end(header.LogPos)
	default:
		return Within, nil
	}
}

func (b *Bounds) end(offset uint32) error {
	b.at.File, b.at.Offset = b.file, offset
	b.inside, b.open = false, false
	if b.gtid == "" {
		return nil
	}
	return b.executed.Update(b.gtid)
}

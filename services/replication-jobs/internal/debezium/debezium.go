// Package debezium writes rows as the messages of Debezium's MySQL and MariaDB connectors, in the JSON of Kafka Connect's JsonConverter:
// https://debezium.io/documentation/reference/stable/connectors/mysql.html#mysql-events
package debezium

import (
	"time"
)

// Options choose among the forms that Debezium offers; they are the same for all messages of a job.
type Options struct {
	// Version and Connector, mysql or mariadb, are shown in the source block of every message.
	Version, Connector string
	// Name is the topic prefix; it stands before every name of a schema.
	Name string
	// Schemas puts the schema beside the payload of each message, as schemas.enable does.
	Schemas bool
	// DecimalString writes DECIMAL as text (decimal.handling.mode=string) instead of Connect's Decimal (precise).
	DecimalString bool
	// PreciseUnsigned writes BIGINT UNSIGNED as Connect's Decimal (bigint.unsigned.handling.mode=precise) instead of int64 (long), which
	// does not hold its upper half.
	PreciseUnsigned bool
	// SingleTopic puts the table's name into each key: without it, rows of different tables in one topic would have the same key.
	SingleTopic bool
}

// Op is what happened to a row.
type Op string

// The operations of messages.
const (
	Read   Op = "r"
	Create Op = "c"
	Update Op = "u"
	Delete Op = "d"
)

// Source says where a change comes from.
type Source struct {
	// Time is the commit at the source, to the second, or that of the snapshot.
	Time time.Time
	// Snapshot is set for rows that were read from the table and not from the log.
	Snapshot bool
	// ServerID and Thread are 0 where they are not known.
	ServerID, Thread uint32
	// GTID is the transaction's, "" on a server without.
	GTID string
	// File, Offset and Row are the event's place in the source's binary log, and the row's in the event.
	File   string
	Offset uint32
	Row    int
}

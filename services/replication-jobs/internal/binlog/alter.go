package binlog

import (
	"github.com/go-mysql-org/go-mysql/replication"
)

// MariaDB can log ALTER TABLE twice, with the same text: when it starts and when it has ended (binlog_alter_two_phase). The extra flags
// of the GTID event, which the library does not read, tell which is which.
const (
	alterStarted    = 2
	alterRolledBack = 8

	gtidLength          = 19 // of the event without its header and optional parts
	gtidLengthCommitted = 21 // with the id of a group commit
	flagPreparedXA      = 64
	flagCompletedXA     = 128
)

// withoutEffect reports whether the statement that follows the event is only announced or was given up.
func withoutEffect(e *replication.BinlogEvent, gtid *replication.MariadbGTIDEvent) bool {
	at := replication.EventHeaderSize + gtidLength
	if gtid.IsGroupCommit() {
		at = replication.EventHeaderSize + gtidLengthCommitted
	}
	if !gtid.IsDDL() || gtid.Flags&(flagPreparedXA|flagCompletedXA) != 0 || len(e.RawData) <= at {
		return false
	}
	return e.RawData[at]&(alterStarted|alterRolledBack) != 0
}

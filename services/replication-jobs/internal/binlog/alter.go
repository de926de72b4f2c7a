package binlog

import (
	"github.com/go-mysql-org/go-mysql/replication"
)

// MariaDB can log ALTER TABLE twice, with the same text: when it starts and when it has ended (binlog_alter_two_phase). The extra flags
// of the GTID event, which the library does not read, tell which is which.
const (
	alterStarted    = 2
	alterRolledBack = 8

	// The extra flags follow sequence number, domain and flags, and the id of a group commit if there is one.
	extraFlags       = 8 + 4 + 1
	extraFlagsCommit = extraFlags + 8

	flagPreparedXA  = 64
	flagCompletedXA = 128
)

// withoutEffect reports whether the statement that follows the event is only announced or was given up. The event is raw, with a
// checksum of the given length at its end.
func withoutEffect(raw []byte, checksum int, gtid *replication.MariadbGTIDEvent) bool {
	at := replication.EventHeaderSize + extraFlags
	if gtid.IsGroupCommit() {
		at = replication.EventHeaderSize + extraFlagsCommit
	}
	if !gtid.IsDDL() || gtid.Flags&(flagPreparedXA|flagCompletedXA) != 0 || len(raw)-checksum <= at {
		return false
	}
	return raw[at]&(alterStarted|alterRolledBack) != 0
}

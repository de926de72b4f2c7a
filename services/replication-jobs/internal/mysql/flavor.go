package mysql

import (
	"fmt"
	"strconv"
	"strings"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
)

// Flavor is what differs between MySQL and MariaDB.
type Flavor interface {
	// Name is the name that go-mysql gives the flavor.
	Name() string
	// ParseGTIDSet parses a GTID set, or a single GTID; the empty string is the empty set.
	ParseGTIDSet(s string) (gomysql.GTIDSet, error)
	// CurrentPosition reads the position of the last event in the server's binary log.
	CurrentPosition(c *Conn) (Position, error)
	// SnapshotPosition reads the position of the snapshot that c's transaction sees. It is known when the server tells it; else
	// it is the current position, which is that of the snapshot only if it was the same before the transaction began.
	SnapshotPosition(c *Conn) (p Position, known bool, err error)
	// Missing returns an explanation if the server has already purged transactions that follow from, else "".
	Missing(c *Conn, from Position) (string, error)
	// Lacks returns what of from the server has never executed, as the server writes GTIDs or as file:offset; "" if there is nothing.
	Lacks(c *Conn, from Position) (string, error)
	// CopySession returns the statements that prepare a target session for loading rows that were valid at the source.
	CopySession() []string
}

// Detect tells the flavor from a VERSION() string.
func Detect(version string) Flavor {
	if strings.Contains(strings.ToLower(version), "mariadb") {
		return mariaDB{}
	}
	return mySQL{statusStatement: binlogStatusStatement(version)}
}

// binlogStatusStatement returns SHOW BINARY LOG STATUS from 8.2 on: 8.4 does not know SHOW MASTER STATUS any more.
func binlogStatusStatement(version string) string {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return showMasterStatus
	}
	major, _ := strconv.Atoi(parts[0]) // what is no number is old
	minor, _ := strconv.Atoi(parts[1])
	if major > 8 || major == 8 && minor >= 2 {
		return "SHOW BINARY LOG STATUS"
	}
	return showMasterStatus
}

const showMasterStatus = "SHOW MASTER STATUS"

var errNoBinlog = &Error{
	Sentence:  "the source writes no binary log: set log_bin, and binlog_format=ROW, in its configuration and restart it",
	Permanent: true,
}

// binlogStatus reads file and offset, and the executed GTID set where the statement returns one.
func binlogStatus(c *Conn, statement string) (Position, error) {
	r, err := c.Execute(statement)
	if err != nil {
		return Position{}, fmt.Errorf("read the binary log position: %w", err)
	}
	return parseBinlogStatus(r)
}

func parseBinlogStatus(r *gomysql.Result) (Position, error) {
	if r.RowNumber() == 0 {
		return Position{}, errNoBinlog
	}
	file, err := r.GetString(0, 0)
	if err != nil {
		return Position{}, fmt.Errorf("read the binary log position: %w", err)
	}
	offset, err := r.GetUint(0, 1)
	if err != nil {
		return Position{}, fmt.Errorf("read the binary log position: %w", err)
	}
	p := Position{File: file, Offset: uint32(offset)}
	if i, ok := r.FieldNames["Executed_Gtid_Set"]; ok {
		set, err := r.GetString(0, i)
		if err != nil {
			return Position{}, fmt.Errorf("read the executed GTID set: %w", err)
		}
		p.GTIDSet = strings.ReplaceAll(set, "\n", "")
	}
	return p, nil
}

// text returns the only value of a one-row answer as a string, "" for NULL.
func text(c *Conn, statement string, args ...any) (string, error) {
	r, err := c.Execute(statement, args...)
	if err != nil {
		return "", err
	}
	if r.RowNumber() == 0 {
		return "", nil
	}
	return r.GetString(0, 0)
}

// oldestLog returns the name of the first binary log file that the server still has.
func oldestLog(c *Conn) (string, error) {
	s, err := text(c, "SHOW BINARY LOGS")
	if err != nil {
		return "", fmt.Errorf("list the binary logs: %w", err)
	}
	return s, nil
}

// missingFile explains, for a position without GTIDs, that its file was purged.
func missingFile(c *Conn, from Position) (string, error) {
	oldest, err := oldestLog(c)
	if err != nil || compareFiles(oldest, 0, from.File, from.Offset) <= 0 {
		return "", err
	}
	return fmt.Sprintf("binary log %s is purged, the oldest one is %s", from.File, oldest), nil
}

// beyond returns a position without GTIDs that lies behind the end of the server's log, as file:offset, else "".
func beyond(from, end Position) string {
	if from.File == "" || compareFiles(from.File, from.Offset, end.File, end.Offset) <= 0 {
		return ""
	}
	return from.String()
}

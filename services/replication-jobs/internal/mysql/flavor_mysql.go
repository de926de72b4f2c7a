package mysql

import (
	"fmt"
	"strings"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
)

// mySQL is MySQL 5.7 and later: GTIDs are uuid:number and a set holds intervals of each uuid.
type mySQL struct {
	statusStatement string
}

func (mySQL) Name() string { return gomysql.MySQLFlavor }

func (mySQL) ParseGTIDSet(s string) (gomysql.GTIDSet, error) {
	set, err := gomysql.ParseMysqlGTIDSet(s)
	if err != nil {
		return nil, fmt.Errorf("%q is not a MySQL GTID set (want uuid:first-last, comma separated): %w", s, err)
	}
	return set, nil
}

// CurrentPosition leaves out the GTID set where transactions get none: what gtid_executed holds then is from a time when they did,
// and the server sends nothing by GTID.
func (f mySQL) CurrentPosition(c *Conn) (Position, error) {
	p, err := binlogStatus(c, f.statusStatement)
	if err != nil || p.GTIDSet == "" {
		return p, err
	}
	mode, err := text(c, "SELECT @@GLOBAL.gtid_mode")
	if err != nil {
		return Position{}, fmt.Errorf("read gtid_mode: %w", err)
	}
	if !strings.EqualFold(mode, "ON") {
		p.GTIDSet = ""
	}
	return p, nil
}

func (f mySQL) SnapshotPosition(c *Conn) (Position, bool, error) {
	p, err := f.CurrentPosition(c)
	return p, false, err
}

func (f mySQL) Missing(c *Conn, from Position) (string, error) {
	if from.GTIDSet == "" {
		if from.File == "" {
			return "", nil
		}
		return missingFile(c, from)
	}
	purged, err := text(c, "SELECT GTID_SUBTRACT(@@GLOBAL.gtid_purged, ?)", from.GTIDSet)
	if err != nil {
		return "", fmt.Errorf("compare with gtid_purged: %w", err)
	}
	if purged == "" {
		return "", nil
	}
	return fmt.Sprintf("the source has purged the transactions %s, which the job has not seen", strings.ReplaceAll(purged, "\n", "")), nil
}

func (f mySQL) Lacks(c *Conn, from Position) (string, error) {
	end, err := f.CurrentPosition(c)
	if err != nil || from.GTIDSet == "" {
		return beyond(from, end), err
	}
	lacking, err := text(c, "SELECT GTID_SUBTRACT(?, ?)", from.GTIDSet, end.GTIDSet)
	if err != nil {
		return "", fmt.Errorf("compare with gtid_executed: %w", err)
	}
	return strings.ReplaceAll(lacking, "\n", ""), nil
}

func (mySQL) CopySession() []string {
	return []string{"SET SESSION foreign_key_checks = 0"}
}

package mysql

import (
	"fmt"
	"strconv"
	"strings"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
)

// mariaDB is MariaDB 10.2 and later: GTIDs are domain-server-sequence and a position holds the last one of each domain.
type mariaDB struct{}

func (mariaDB) Name() string { return gomysql.MariaDBFlavor }

func (mariaDB) ParseGTIDSet(s string) (gomysql.GTIDSet, error) {
	set, err := gomysql.ParseMariadbGTIDSet(s)
	if err != nil {
		return nil, fmt.Errorf("%q is not a MariaDB GTID position (want domain-server-sequence, for example 0-1-42): %w", s, err)
	}
	return set, nil
}

func (mariaDB) CurrentPosition(c *Conn) (Position, error) {
	p, err := binlogStatus(c, showMasterStatus)
	if err != nil {
		return Position{}, err
	}
	// Not gtid_current_pos: that counts what a replica applied without writing it to its own binary log.
	p.GTIDSet, err = text(c, "SELECT @@GLOBAL.gtid_binlog_pos")
	if err != nil {
		return Position{}, fmt.Errorf("read gtid_binlog_pos: %w", err)
	}
	return p, nil
}

func (mariaDB) SnapshotPosition(c *Conn) (Position, bool, error) {
	r, err := c.Execute("SHOW SESSION STATUS LIKE 'binlog\\_snapshot\\_%'")
	if err != nil {
		return Position{}, false, fmt.Errorf("read the snapshot's position: %w", err)
	}
	var p Position
	for i := range r.RowNumber() {
		s, err := stringsOf(r, i, 2)
		if err != nil {
			return Position{}, false, err
		}
		switch strings.ToLower(s[0]) {
		case "binlog_snapshot_file":
			p.File = s[1]
		case "binlog_snapshot_position":
			offset, err := strconv.ParseUint(s[1], 10, 32)
			if err != nil {
				return Position{}, false, fmt.Errorf("read the snapshot's position: %w", err)
			}
			p.Offset = uint32(offset)
		}
	}
	if p.File == "" {
		return Position{}, false, errNoBinlog
	}
	if p.GTIDSet, err = text(c, "SELECT BINLOG_GTID_POS(?, ?)", p.File, p.Offset); err != nil {
		return Position{}, false, fmt.Errorf("read the GTID position of the snapshot: %w", err)
	}
	return p, true, nil
}

func (f mariaDB) Missing(c *Conn, from Position) (string, error) {
	if from.GTIDSet == "" {
		if from.File == "" {
			return "", nil
		}
		return missingFile(c, from)
	}
	oldest, err := oldestLog(c)
	if err != nil {
		return "", err
	}
	// The position at the head of the oldest file is what was executed before it: what is asked for must not lie before.
	head, err := text(c, "SELECT BINLOG_GTID_POS(?, 4)", oldest)
	if err != nil {
		return "", fmt.Errorf("read the GTID position of the oldest binary log %s: %w", oldest, err)
	}
	purged, err := f.ParseGTIDSet(head)
	if err != nil {
		return "", err
	}
	wanted, err := f.ParseGTIDSet(from.GTIDSet)
	if err != nil {
		return "", err
	}
	if wanted.Contain(purged) {
		return "", nil
	}
	return fmt.Sprintf("the source has purged its binary logs up to GTID %s, the job needs what follows %s", head, from.GTIDSet), nil
}

func (mariaDB) CopySession() []string {
	return []string{"SET SESSION foreign_key_checks = 0, check_constraint_checks = 0"}
}

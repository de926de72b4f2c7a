package mysql

import (
	"fmt"
	"slices"
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

func (f mariaDB) Lacks(c *Conn, from Position) (string, error) {
	if from.GTIDSet == "" {
		end, err := binlogStatus(c, showMasterStatus)
		return beyond(from, end), err
	}
	// A replica that was set up from a backup has executed what its gtid_slave_pos says, before its own log begins.
	state, err := text(c, "SELECT CONCAT_WS(',', NULLIF(@@GLOBAL.gtid_binlog_state, ''), NULLIF(@@GLOBAL.gtid_slave_pos, ''))")
	if err != nil {
		return "", fmt.Errorf("read gtid_binlog_state: %w", err)
	}
	wanted, err := gomysql.ParseMariadbGTIDSet(from.GTIDSet)
	if err != nil {
		return "", err
	}
	executed, err := parseBinlogState(state)
	if err != nil {
		return "", err
	}
	return executed.lacking(wanted.(*gomysql.MariadbGTIDSet)), nil //nolint:forcetypeassert // ParseMariadbGTIDSet returns no other
}

// binlogState is the last sequence number of each server in each domain.
type binlogState map[uint32]map[uint32]uint64

func parseBinlogState(text string) (binlogState, error) {
	state := binlogState{}
	for s := range strings.SplitSeq(text, ",") {
		if s = strings.TrimSpace(s); s == "" {
			continue
		}
		gtid, err := gomysql.ParseMariadbGTID(s)
		if err != nil {
			return nil, fmt.Errorf("read the server's gtid_binlog_state %q: %w", text, err)
		}
		servers := state[gtid.DomainID]
		if servers == nil {
			servers = map[uint32]uint64{}
			state[gtid.DomainID] = servers
		}
		servers[gtid.ServerID] = max(servers[gtid.ServerID], gtid.SequenceNumber)
	}
	return state, nil
}

// lacking returns the GTIDs of a position that were not executed. A domain of which the server knows nothing was removed there, as FLUSH
// BINARY LOGS DELETE_DOMAIN_ID does, unless it knows none of the position's domains.
func (s binlogState) lacking(wanted *gomysql.MariadbGTIDSet) string {
	known := false
	for domain := range wanted.Sets {
		known = known || s[domain] != nil
	}
	var out []string
	for domain, gtid := range wanted.Sets {
		if s[domain] == nil && known {
			continue
		}
		if s[domain][gtid.ServerID] < gtid.SequenceNumber {
			out = append(out, gtid.String())
		}
	}
	slices.Sort(out)
	return strings.Join(out, ",")
}

func (mariaDB) CopySession() []string {
	return []string{"SET SESSION foreign_key_checks = 0, check_constraint_checks = 0"}
}

package apply

import (
	"cmp"
	"context"
	"fmt"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/binlog"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

// sessionMode is not strict, because a strict session refuses the empty value that ENUM columns hold after a lenient write at the
// source. What a strict session would refuse shows as a warning instead, and each warning is looked at; see executor.warnings.
const sessionMode = "NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES,NO_ENGINE_SUBSTITUTION"

// connect opens the session that writes.
func (a *Applier) connect(ctx context.Context) (*mysql.Conn, error) {
	conn, err := mysql.Connect(ctx, a.cfg.Target)
	if err != nil {
		return nil, err
	}
	if err := a.prepare(conn); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

func (a *Applier) prepare(conn *mysql.Conn) error {
	if a.cfg.Workers > 1 { // two sessions may wait for each other in ways that the server cannot see: one for a lock, one for its turn
		if _, err := conn.Execute("SET SESSION innodb_lock_wait_timeout = 1"); err != nil {
			return fmt.Errorf("prepare the session: %w", mysql.Explain(err))
		}
	}
	if err := progress.Enlist(conn, a.cfg.Job); err != nil {
		return err
	}
	return prepareSession(conn)
}

// prepareSession sets what rows need. Constraints between tables and checks were enforced by the source; statements that must
// cascade switch foreign keys on for themselves.
func prepareSession(conn *mysql.Conn) error {
	settings := "SET SESSION sql_mode = '" + sessionMode + "', foreign_key_checks = 0, unique_checks = 1, collation_server = DEFAULT, time_zone = '+00:00', timestamp = DEFAULT, " + ddl.Applying + " = 1"
	if conn.Flavor.Name() == gomysql.MariaDBFlavor {
		settings += ", tx_isolation = 'READ-COMMITTED', check_constraint_checks = 0"
	} else {
		settings += ", transaction_isolation = 'READ-COMMITTED'"
	}
	for _, statement := range []string{"SET NAMES utf8mb4", settings} {
		if _, err := conn.Execute(statement); err != nil {
			return fmt.Errorf("prepare the session: %w", mysql.Explain(err))
		}
	}
	return nil
}

// definitionModes are the bits of sql_mode that change what a definition means and that MySQL and MariaDB number alike:
// REAL_AS_FLOAT, PIPES_AS_CONCAT, ANSI_QUOTES, IGNORE_SPACE, NO_UNSIGNED_SUBTRACTION, NO_DIR_IN_CREATE, and those from
// NO_AUTO_VALUE_ON_ZERO to NO_ENGINE_SUBSTITUTION without TRADITIONAL and NO_AUTO_CREATE_USER.
const definitionModes = 1<<0 | 1<<1 | 1<<2 | 1<<3 | 1<<6 | 1<<7 | 1<<19 | 1<<20 | 1<<21 | 1<<22 | 1<<23 | 1<<24 | 1<<25 | 1<<26 | 1<<29 | 1<<30

// queryModes are ONLY_FULL_GROUP_BY and PAD_CHAR_TO_FULL_LENGTH, which change what the body of a routine means. The families do not mean the
// same by the first.
const queryModes = 1<<5 | 1<<31

// mariaDBModes are ORACLE, the other grammar, and NO_AUTO_CREATE_USER, which MySQL 8 refuses; mySQLModes is TIME_TRUNCATE_FRACTIONAL, whose
// number is another mode's in MariaDB.
const (
	mariaDBModes = 1<<9 | 1<<28
	mySQLModes   = 1 << 32
)

// commonCollations are the ids below which MySQL and MariaDB agree.
const commonCollations = 255

// imitate gives the session what the source's session had when it ran a definition.
func (e *executor) imitate(s binlog.Session, statement ddl.Statement) error {
	same := e.conn.Flavor.Name() == e.applier.cfg.Flavor.Name()
	modes := uint64(definitionModes)
	switch {
	case same && e.conn.Flavor.Name() == gomysql.MariaDBFlavor:
		modes |= queryModes | mariaDBModes
	case same:
		modes |= queryModes | mySQLModes
	}
	if s.HasSQLMode {
		if _, err := e.conn.Execute(fmt.Sprintf("SET SESSION sql_mode = %d", s.SQLMode&modes)); err != nil {
			return err
		}
	}
	known := same || max(s.ClientCharset, s.ConnectionCollation, s.ServerCollation) < commonCollations
	if s.HasCharset && known {
		if _, err := e.conn.Execute(fmt.Sprintf("SET SESSION character_set_client = %d, collation_connection = %d, collation_server = %d",
			s.ClientCharset, s.ConnectionCollation, s.ServerCollation)); err != nil {
			return err
		}
	}
	if !s.Time.IsZero() {
		if _, err := e.conn.Execute(fmt.Sprintf("SET SESSION timestamp = %d.%06d", s.Time.Unix(), s.Time.Nanosecond()/1000)); err != nil {
			return err
		}
	}
	if s.TimeZone != "" {
		zone := s.TimeZone
		if zone == "SYSTEM" && statement.Kind != ddl.DefineObject { // an event keeps its zone, and is to keep this one
			zone = cmp.Or(e.applier.cfg.SystemZone, "+00:00")
		}
		if _, err := e.conn.Execute("SET SESSION time_zone = " + string(mysql.AppendString(nil, []byte(zone)))); err != nil {
			return err
		}
	}
	if statement.Default != "" {
		if _, err := e.conn.Execute("USE " + mysql.QuoteIdent(statement.Default)); err != nil {
			return err
		}
	}
	return nil
}

package validation

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/fullcopy"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// copySpeed is what a slow copy moves per second, in bytes: the estimate of how long binary logs must be kept is on the safe side.
const copySpeed = 10 << 20

// listed is how many tables a sentence names.
const listed = 10

// chosen reads the tables that the job would replicate.
func (v *validator) chosen() error {
	tables, err := mysql.LoadTables(v.source.Conn, v.job.Mapping.Table)
	if err != nil {
		return err
	}
	v.tables = tables
	err = fullcopy.CheckChosen(v.source.Conn, v.source.address, v.job.Mapping, tables)
	if mysql.Permanent(err) {
		v.report.Errors.add("%v", err)
		return nil
	}
	if err != nil {
		return err
	}
	if len(tables) == 0 {
		v.report.Warnings.add("the source %s has no table that the job would replicate, or the user may not see it", v.source.address)
	}
	v.withoutKey()
	return v.mapped()
}

// mapped says which tables cannot be replicated under their new names, or with the columns and rows that the rules choose.
func (v *validator) mapped() error {
	problem := func(err error) error {
		if mysql.Permanent(err) {
			v.report.Errors.add("%v", err)
			return nil
		}
		return err
	}
	if _, err := v.job.Mapping.Tables(v.tables); problem(err) != nil {
		return err
	}
	for _, t := range v.tables {
		rows, err := v.job.Mapping.Rows(ddl.Name{Schema: t.Schema, Table: t.Name}, t.Columns)
		if err == nil {
			err = rows.CheckKey(t)
		}
		if problem(err) != nil {
			return err
		}
	}
	return nil
}

// there is the name of a table at the target; its own where the rules make no name of it, which is a problem found already.
func (v *validator) there(t *mysql.Table) ddl.Name {
	name := ddl.Name{Schema: t.Schema, Table: t.Name}
	if target, err := v.job.Mapping.Target(name); err == nil {
		return target
	}
	return name
}

// withoutKey warns of tables whose rows cannot be told apart.
func (v *validator) withoutKey() {
	var names []string
	for _, t := range v.tables {
		if t.Key() == nil {
			names = append(names, t.String())
		}
	}
	if len(names) > 0 {
		v.report.Warnings.add("these tables have no primary key and no unique key without nullable columns, so that their copy cannot be resumed and changes are slow: %s",
			some(names))
	}
}

// some names a few of many.
func some(names []string) string {
	if len(names) <= listed {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:listed], ", "), len(names)-listed)
}

// sourcePrivileges says what the source's account lacks.
func (v *validator) sourcePrivileges() error {
	g, p := v.source.grants, v.report.Source.Privileges
	if v.job.Follows {
		if !g.global("REPLICATION SLAVE", "REPLICATION REPLICA") {
			p.add("the account lacks REPLICATION SLAVE on *.*, which reading the binary log needs")
		}
		if !g.global("REPLICATION CLIENT", "BINLOG MONITOR", "SUPER") {
			p.add("the account lacks REPLICATION CLIENT (on MariaDB BINLOG MONITOR) on *.*, which the position of the binary log needs")
		}
	}
	var lacking []string
	for _, t := range v.tables {
		if !g.on(t.Schema, t.Name, "SELECT") {
			lacking = append(lacking, t.String())
		}
	}
	if len(lacking) > 0 {
		p.add("the account lacks SELECT on %s", some(lacking))
	}
	if v.job.Copies && !g.global("RELOAD", "FLUSH_TABLES") {
		v.report.Warnings.add("the source's account lacks RELOAD: one session instead of several reads the full copy, and on MySQL it has to find a moment without commits")
	}
	return nil
}

// settings looks at the settings of the source's binary log.
func (v *validator) settings() error {
	side := &v.report.Source
	if !v.job.Follows {
		return nil
	}
	side.GTIDMode, side.ServerID, side.Binlog = &Problems{}, &Problems{}, &Problems{}
	have, err := logSettings(v.source.Conn)
	if err != nil {
		return err
	}
	checkSettings(have, side)
	if v.job.NeedsGTID && strings.EqualFold(have["gtid_mode"], "OFF") {
		side.GTIDMode.add("the server has gtid_mode=OFF: set it to ON")
	}
	return nil
}

// logSettings are a server's settings of the binary log.
func logSettings(c *mysql.Conn) (map[string]string, error) {
	have, err := pairs(c, `SHOW GLOBAL VARIABLES WHERE Variable_name IN ('log_bin', 'binlog_format', 'binlog_row_image', 'binlog_row_value_options',
		'gtid_mode', 'server_id', 'log_slave_updates', 'log_replica_updates')`)
	if err != nil {
		return nil, fmt.Errorf("read the settings of the binary log: %w", mysql.Explain(err))
	}
	return have, nil
}

func checkSettings(have map[string]string, side *Side) {
	for _, s := range []struct{ name, want string }{
		{"log_bin", "ON"}, {"binlog_format", "ROW"}, {"binlog_row_image", "FULL"}, {"binlog_row_value_options", ""},
	} {
		if value, ok := have[s.name]; ok && !strings.EqualFold(value, s.want) {
			side.Binlog.add("the server has %s=%s, replication needs %s=%s", s.name, value, s.name, s.want)
		}
	}
	if mode := strings.ToUpper(have["gtid_mode"]); strings.HasSuffix(mode, "_PERMISSIVE") {
		side.GTIDMode.add("the server has gtid_mode=%s, so that some transactions have a GTID and others have none: set it to ON or OFF", mode)
	}
	if have["server_id"] == "0" {
		side.ServerID.add("the server has server_id=0, with which it refuses replicas: give it a number of its own")
	}
}

// retention compares how long the source keeps binary logs with how long the copy may take.
func (v *validator) retention() error {
	if v.job.RelayMiB > 0 {
		v.report.Warnings.add("with binlog_relay the source may purge what the worker node has downloaded: up to %d MiB on the node's disk; while that is full, or the job is paused, nothing is downloaded, and the source must keep what follows",
			v.job.RelayMiB)
		return nil
	}
	if !v.job.Copies || !v.job.Follows {
		return nil
	}
	have, err := pairs(v.source.Conn, `SHOW GLOBAL VARIABLES WHERE Variable_name IN ('binlog_expire_logs_seconds', 'expire_logs_days')`)
	if err != nil {
		return fmt.Errorf("read how long binary logs are kept: %w", mysql.Explain(err))
	}
	bytes, err := v.size()
	if err != nil {
		return err
	}
	kept := keptFor(have)
	if needed := time.Duration(bytes/copySpeed) * time.Second; kept > 0 && kept < needed {
		v.report.Warnings.add("the source keeps its binary logs for %v; the full copy of about %d MB may take up to %v, and the job then finds them purged: keep them longer",
			kept, bytes>>20, needed)
	}
	return nil
}

// keptFor is 0 when binary logs are kept until somebody purges them.
func keptFor(have map[string]string) time.Duration {
	if seconds, err := strconv.ParseInt(have["binlog_expire_logs_seconds"], 10, 64); err == nil && seconds > 0 {
		return time.Duration(seconds) * time.Second
	}
	days, _ := strconv.ParseFloat(cmp.Or(have["expire_logs_days"], "0"), 64) // what is no number was not set
	return time.Duration(days * 24 * float64(time.Hour))
}

// size is the size of the chosen tables in bytes, by the server's statistics.
func (v *validator) size() (int64, error) {
	r, err := v.source.Execute(`SELECT table_schema, table_name, COALESCE(data_length, 0) FROM information_schema.tables
		WHERE table_type = 'BASE TABLE' AND ` + mysql.UserSchemas)
	if err != nil {
		return 0, fmt.Errorf("read the sizes of the source's tables: %w", mysql.Explain(err))
	}
	var total int64
	for i := range r.RowNumber() {
		schema, err := r.GetString(i, 0)
		if err != nil {
			return 0, err
		}
		table, err := r.GetString(i, 1)
		if err != nil {
			return 0, err
		}
		size, err := r.GetInt(i, 2)
		if err != nil {
			return 0, err
		}
		if v.job.Mapping.Table(schema, table) {
			total += size
		}
	}
	return total, nil
}

package engine

import (
	"context"
	"fmt"
	"strings"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/binlog"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// checkSource fails if the source's settings leave out of the binary log what replication needs.
func checkSource(c *mysql.Conn) error {
	r, err := c.Execute(`SHOW GLOBAL VARIABLES WHERE Variable_name IN ('log_bin', 'binlog_format', 'binlog_row_image', 'binlog_row_value_options', 'gtid_mode')`)
	if err != nil {
		return fmt.Errorf("read the settings of the binary log: %w", mysql.Explain(err))
	}
	have := map[string]string{}
	for i := range r.RowNumber() {
		name, err := r.GetString(i, 0)
		if err != nil {
			return err
		}
		if have[strings.ToLower(name)], err = r.GetString(i, 1); err != nil {
			return err
		}
	}
	return checkSettings(have)
}

// checkSettings looks at the variables that the server has; their names and defaults differ between families and versions.
func checkSettings(have map[string]string) error {
	for _, s := range []struct{ name, want string }{
		{"log_bin", "ON"}, {"binlog_format", "ROW"}, {"binlog_row_image", "FULL"}, {"binlog_row_value_options", ""},
	} {
		if value, ok := have[s.name]; ok && !strings.EqualFold(value, s.want) {
			return &mysql.Error{
				Sentence:  fmt.Sprintf("the server has %s=%s, replication needs %s=%s: set it in the server's configuration", s.name, value, s.name, s.want),
				Permanent: true,
			}
		}
	}
	if mode := strings.ToUpper(have["gtid_mode"]); strings.HasSuffix(mode, "_PERMISSIVE") {
		return &mysql.Error{
			Sentence:  fmt.Sprintf("the server has gtid_mode=%s, so that some transactions have a GTID and others have none: set it to ON or OFF", mode),
			Permanent: true,
		}
	}
	return nil
}

// systemZone is the server's own time zone, as its offset at present.
func systemZone(c *mysql.Conn) (string, error) {
	r, err := c.Execute("SELECT TIMESTAMPDIFF(MINUTE, UTC_TIMESTAMP(), CONVERT_TZ(UTC_TIMESTAMP(), '+00:00', 'SYSTEM'))")
	if err != nil {
		return "", fmt.Errorf("read the source's time zone: %w", mysql.Explain(err))
	}
	minutes, err := r.GetInt(0, 0)
	if err != nil {
		return "", fmt.Errorf("read the source's time zone: %w", err)
	}
	sign := '+'
	if minutes < 0 {
		sign, minutes = '-', -minutes
	}
	return fmt.Sprintf("%c%02d:%02d", sign, minutes/60, minutes%60), nil
}

// queue is how many transactions may wait to be applied.
func (r *run) queue() int { return max(r.job.QueueSize, minQueue) }

// open begins to read the binary log behind start.
func (r *run) open(ctx context.Context, start mysql.Position) (*binlog.Stream, error) {
	cfg := binlog.Config{
		Flavor: r.facts.flavor(), Start: start, Selection: r.mapping, QueueTransactions: r.queue(), LeaveOut: r.leaveOut,
		Metadata: r.job.Subscription != nil, Logger: r.log,
	}
	if r.relay != nil {
		cfg.Events = r.relay.Behind(start)
	}
	if r.source == nil {
		return binlog.Open(ctx, cfg)
	}
	if r.relay != nil {
		if err := r.writeRelay(ctx, start); err != nil {
			return nil, err
		}
	} else if err := r.checkHistory(r.source, start); err != nil {
		return nil, fmt.Errorf("source: %w", err)
	}
	cfg.Source = r.source.Config
	_ = r.source.Close() // nothing more is asked of it, and it would stand idle for days
	return binlog.Open(ctx, cfg)
}

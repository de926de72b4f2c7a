package engine

import (
	"maps"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

func TestCheckSettings(t *testing.T) {
	t.Parallel()
	servers := map[string]map[string]string{
		"MariaDB 10.11": {"log_bin": "ON", "binlog_format": "ROW", "binlog_row_image": "FULL"},
		"MySQL 5.7":     {"log_bin": "ON", "binlog_format": "ROW", "binlog_row_image": "FULL", "gtid_mode": "OFF"},
		"MySQL 8.0":     {"log_bin": "ON", "binlog_format": "ROW", "binlog_row_image": "FULL", "binlog_row_value_options": "", "gtid_mode": "ON"},
		"MySQL 8.4":     {"log_bin": "ON", "binlog_format": "ROW", "binlog_row_image": "FULL", "binlog_row_value_options": "", "gtid_mode": "ON"},
	}
	for server, settings := range servers {
		require.NoError(t, checkSettings(settings), server)
	}
	for name, value := range map[string]string{
		"log_bin": "OFF", "binlog_format": "MIXED", "binlog_row_image": "MINIMAL", "binlog_row_value_options": "PARTIAL_JSON",
		"gtid_mode": "ON_PERMISSIVE",
	} {
		settings := maps.Clone(servers["MySQL 8.0"])
		settings[name] = value
		err := checkSettings(settings)
		require.ErrorContains(t, err, name+"="+value)
		require.True(t, mysql.Permanent(err))
	}
}

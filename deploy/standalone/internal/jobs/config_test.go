package jobs_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/deploy/standalone/internal/jobs"
)

func TestReadConfig(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ text, jobType, json, err string }{
		"JSON is left as it is": {`{"job_id": "a", "job_id": "a"}`, "", `{"job_id": "a", "job_id": "a"}`, ""},
		"YAML":                  {"job_id: a\nsrc_task:\n  chunk_size: 2000\n  gtid: null\n  auto_gtid: true\n", "", `{"job_id":"a","src_task":{"auto_gtid":true,"chunk_size":2000,"gtid":null}}`, ""},
		"dates are texts":       {"job_id: 2026-01-02\nsrc_task: {mysql_connection_config: {mysql_password: 2026-01-02 10:11:12}}", "", `{"job_id":"2026-01-02","src_task":{"mysql_connection_config":{"mysql_password":"2026-01-02 10:11:12"}}}`, ""},
		"numbers keep digits":   {"dest_task: {max_bytes_per_second: 9007199254740993}", "", `{"dest_task":{"max_bytes_per_second":9007199254740993}}`, ""},
		"anchors":               {"a: &x {mysql_host: h}\nb: *x", "", `{"a":{"mysql_host":"h"},"b":{"mysql_host":"h"}}`, ""},
		"a wrapper":             {`{"sync_job_config": {"job_id": "a"}}`, jobs.Sync, `{"job_id": "a"}`, ""},
		"Kafka":                 {"dest_task: {kafka_topic: t}", jobs.Subscription, `{"dest_task":{"kafka_topic":"t"}}`, ""},
		"nothing":               {"", "", "", "it is empty"},
		"a list":                {"- job_id: a", "", "", "it is no object"},
		"a text":                {`"a"`, "", "", "it is no object"},
		"two documents":         {"job_id: a\n---\njob_id: b", "", "", "several documents"},
		"no YAML":               {"job_id: [", "", "", "neither JSON nor YAML"},
		"twice":                 {"job_id: a\njob_id: b", "", "", "already defined"},
		"names that are none":   {"1: a\nb: {2: c}", "", "", "no texts"},
		"too large":             {"a: " + strings.Repeat("x", 1<<20), "", "", "larger than 1 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg, err := jobs.ReadConfig(strings.NewReader(tc.text))
			if tc.err != "" {
				require.ErrorContains(t, err, tc.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.jobType, cfg.Type)
			require.Equal(t, tc.json, string(cfg.JSON))
		})
	}
}

package replication_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
)

// stoppedAt is the position in the error of a job that stands at a statement.
var stoppedAt = regexp.MustCompile(`statement at ([^ ]+:\d+)[ :]`)

func (m *manager) decide(id, position, action, statement string) error {
	_, err := m.jobs(admin).DecideStatement(m.t.Context(), &replicationv1.DecideStatementRequest{
		JobType: "migration", JobId: id, Position: position, Action: action, Statement: statement,
	})
	return err
}

func TestDecisionsAboutStatements(t *testing.T) {
	t.Parallel()
	source, target := mysqltest.Start(t, 1), mysqltest.Start(t, 2)
	fill(t, source)
	m := startManager(t)
	m.startWorker(shortDir(t))
	id := m.create(admin, "decided", between(source, target))
	m.requireSame(source, target, id)
	requireFault(t, m.decide(id, "bin.1:4", "skip", ""), codes.FailedPrecondition, "JOB_NOT_STOPPED", "does not stand at a statement")

	// The target has been altered by hand, so that the source's statement fails there.
	target.Exec(t, "ALTER TABLE shop.orders ADD note INT")
	source.Exec(t, "ALTER TABLE shop.orders ADD note VARCHAR(9)")
	source.Exec(t, "INSERT INTO shop.orders (id, what) VALUES (100000, 'later')")
	standsAt := func() (position string) {
		require.Eventually(t, func() bool {
			logs := m.detail(admin, id).GetTaskLogs()
			if m.status(id) != "retrying" || len(logs) != 2 {
				return false
			}
			all := stoppedAt.FindAllStringSubmatch(strings.Join(log(logs[1]), "\n"), -1)
			if len(all) == 0 {
				return false
			}
			position = all[len(all)-1][1]
			return true
		}, patience, moment)
		return position
	}
	position := standsAt()
	for want, try := range map[string][3]string{
		"position":                   {"nowhere", "skip", ""},
		"action":                     {position, "ignore", ""},
		"a replacement must be one":  {position, "replace", "DELETE FROM shop.orders"},
		"contradicts the action":     {position, "skip", "DROP TABLE shop.orders"},
		"has no schema":              {position, "replace", "DROP TABLE orders"},
		"statement: a replacement m": {position, "replace", ""},
	} {
		requireFault(t, m.decide(id, try[0], try[1], try[2]), codes.InvalidArgument, "INVALID_REQUEST", want)
	}
	requireFault(t, m.decide(id, position+"0", "skip", ""), codes.FailedPrecondition, "JOB_NOT_STOPPED", "stands at the statement at "+position)
	_, err := m.jobs(alice).DecideStatement(t.Context(), &replicationv1.DecideStatementRequest{JobType: "migration", JobId: id, Position: position, Action: "skip"})
	requireFault(t, err, codes.NotFound, "JOB_NOT_FOUND", id)

	require.NoError(t, m.decide(id, position, "replace", "ALTER TABLE shop.orders MODIFY note VARCHAR(9)"))
	m.requireSame(source, target, id)
	require.Eventually(t, func() bool { return m.status(id) == "running" }, patience, moment)
	var replacement, by string
	require.NoError(t, m.pool.QueryRow(t.Context(), `SELECT replacement, decided_by FROM replication.decisions WHERE job_id = $1`, id).Scan(&replacement, &by))
	require.Equal(t, "ALTER TABLE shop.orders MODIFY note VARCHAR(9)", replacement)
	require.Equal(t, admin.Name(), by)
	require.Contains(t, strings.Join(m.published(), "\n"), "opsdeck.replication.job.decided")
}

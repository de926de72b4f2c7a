package replication_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
)

func (m *manager) verify(id string, with ...func(*replicationv1.VerifyJobRequest)) error {
	r := &replicationv1.VerifyJobRequest{JobType: "migration", JobId: id}
	for _, w := range with {
		w(r)
	}
	_, err := replicationv1.NewVerifyServiceClient(m.as(admin)).VerifyJob(m.t.Context(), r)
	return err
}

func (m *manager) verification(id, token string) (*replicationv1.GetVerificationResponse, error) {
	return replicationv1.NewVerifyServiceClient(m.as(admin)).GetVerification(m.t.Context(), &replicationv1.GetVerificationRequest{
		JobType: "migration", JobId: id, PageSize: 2, PageToken: token,
	})
}

// awaitVerified waits until the verification is in a state, and returns it.
func (m *manager) awaitVerified(id string, done func(*replicationv1.Verification) bool) *replicationv1.Verification {
	m.t.Helper()
	var last *replicationv1.GetVerificationResponse
	require.Eventually(m.t, func() bool {
		var err error
		last, err = m.verification(id, "")
		return err == nil && done(last.GetVerification())
	}, patience, moment, "%v", last)
	return last.GetVerification()
}

func in(state string) func(*replicationv1.Verification) bool {
	return func(v *replicationv1.Verification) bool { return v.GetState() == state }
}

func repairing(r *replicationv1.VerifyJobRequest) { r.Repair = true }
func stopping(r *replicationv1.VerifyJobRequest)  { r.Action = "stop" }

func slowly(r *replicationv1.VerifyJobRequest) {
	rate := int32(2000)
	r.RowsPerSecond = &rate
}

func TestVerifyJob(t *testing.T) {
	t.Parallel()
	source, target := mysqltest.Start(t, 1), mysqltest.Start(t, 2)
	fill(t, source)
	m := startManager(t)
	data := shortDir(t)
	stop := m.startWorker(data)
	id := m.create(admin, "verified", between(source, target))
	_, err := m.verification(id, "")
	requireFault(t, err, codes.NotFound, "NOT_VERIFIED", "never verified")
	require.NoError(t, m.verify(id), "at once: it waits for the copy")
	done := m.awaitVerified(id, in("finished"))
	require.Equal(t, [4]int64{1, 1, 5000, 0}, [4]int64{done.GetTablesDone(), done.GetTablesTotal(), done.GetRowsCompared(), done.GetDifferencesFound()})
	require.Equal(t, admin.Name(), done.GetOrderedBy())
	require.NotNil(t, done.GetEndTime())

	target.Exec(t, "DELETE FROM shop.orders WHERE id IN (7, 4000)", "UPDATE shop.orders SET what = 'x' WHERE id = 8", "INSERT INTO shop.orders VALUES (-1, 'y')")
	require.NoError(t, m.verify(id, repairing))
	done = m.awaitVerified(id, in("finished"))
	require.Equal(t, [2]int64{4, 4}, [2]int64{done.GetDifferencesFound(), done.GetDifferencesRepaired()}, done.GetError())
	var found []string
	for token := ""; ; {
		page, err := m.verification(id, token)
		require.NoError(t, err)
		for _, d := range page.GetDifferences() {
			require.True(t, d.GetRepaired())
			found = append(found, strings.TrimSpace(d.GetTable()+" "+d.GetKind()+" "+d.GetKey()+" "+strings.Join(d.GetColumns(), ",")))
		}
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	require.ElementsMatch(t, []string{"shop.orders missing id=7", "shop.orders missing id=4000", "shop.orders different id=8 what", "shop.orders extra id=-1"}, found)
	m.requireSame(source, target, id)
	require.Equal(t, "finished", m.detail(admin, id).GetVerification().GetState())
	require.Contains(t, m.published(), "opsdeck.replication.job.verified")

	// A worker ends in the middle; the next one goes on behind what was stored.
	insertOrders(t, source, 5000, 12000)
	m.requireSame(source, target, id)
	target.Exec(t, "DELETE FROM shop.orders WHERE id = 3")
	require.NoError(t, m.verify(id, slowly))
	m.awaitVerified(id, func(v *replicationv1.Verification) bool {
		return v.GetRowsCompared() >= 5000 && v.GetDifferencesFound() == 1
	})
	requireFault(t, m.verify(id), codes.FailedPrecondition, "VERIFICATION_RUNNING", "is being verified")
	stop()
	m.startWorker(data)
	done = m.awaitVerified(id, in("finished"))
	require.Equal(t, [2]int64{12000, 1}, [2]int64{done.GetRowsCompared(), done.GetDifferencesFound()}, "no row and no difference twice")

	require.NoError(t, m.verify(id, slowly))
	m.awaitVerified(id, in("running"))
	require.NoError(t, m.verify(id, stopping))
	require.Equal(t, "stopped", m.awaitVerified(id, in("stopped")).GetState())
	require.NoError(t, m.verify(id, stopping), "there is nothing to stop")
	require.NoError(t, m.verify(id))
	m.awaitVerified(id, in("finished"))
}

// A job that begins anew with a copy, and under other rules, is verified from the start: what was found so far is of other rows.
func TestVerifyBeginsAgainWithTheJob(t *testing.T) {
	t.Parallel()
	source, target := mysqltest.Start(t, 1), mysqltest.Start(t, 2)
	fill(t, source)
	m := startManager(t)
	data := shortDir(t)
	stop := m.startWorker(data)
	id := m.create(admin, "again", between(source, target))
	m.requireSame(source, target, id)
	target.Exec(t, "DELETE FROM shop.orders WHERE id = 3")
	require.NoError(t, m.verify(id, func(r *replicationv1.VerifyJobRequest) {
		rate := int32(1000)
		r.RowsPerSecond, r.Continuous = &rate, true
	}))
	m.awaitVerified(id, func(v *replicationv1.Verification) bool {
		return v.GetRowsCompared() >= 1000 && v.GetDifferencesFound() == 1
	})
	stop()
	_, err := m.jobs(admin).CopyJob(t.Context(), &replicationv1.CopyJobRequest{JobType: "migration", JobId: id, DropTableIfExists: true})
	require.NoError(t, err)
	other := request(t, "again", between(source, target)).GetJob()
	other.SrcTask.ReplicateDoDb = []*replicationv1.SchemaRule{{TableSchema: "shop", Tables: []*replicationv1.TableRule{{TableName: "orders", Where: "id <= 2000"}}}}
	other.SrcTask.DropTableIfExists = true
	_, err = m.update(other)
	require.NoError(t, err, "it has not begun again")
	at, err := m.verification(id, "")
	require.NoError(t, err)
	require.Equal(t, "pending", at.GetVerification().GetState())
	require.Equal(t, [3]int64{}, [3]int64{at.GetVerification().GetRowsCompared(), at.GetVerification().GetDifferencesFound(), int64(len(at.GetDifferences()))})
	m.startWorker(data)
	done := m.awaitVerified(id, func(v *replicationv1.Verification) bool { return v.GetTablesDone() == 1 })
	require.Equal(t, [3]int64{1, 5000, 0}, [3]int64{done.GetPass(), done.GetRowsCompared(), done.GetDifferencesFound()})
}

func TestVerifyIsRefused(t *testing.T) {
	t.Parallel()
	m := startManager(t)
	full := m.create(admin, "full")
	requireFault(t, m.verify(full), codes.FailedPrecondition, "NOT_VERIFIABLE", "only copies")
	id := m.create(admin, "refused", all)
	requireFault(t, m.verify(id, stopping, repairing), codes.InvalidArgument, "INVALID_REQUEST", "stop takes no options")
	requireFault(t, m.verify(id, func(r *replicationv1.VerifyJobRequest) { r.Action = "go" }), codes.InvalidArgument, "INVALID_REQUEST", "action")
	requireFault(t, m.verify("none-migration"), codes.NotFound, "JOB_NOT_FOUND", "none-migration")
	verifier := replicationv1.NewVerifyServiceClient(m.as(alice))
	_, err := verifier.VerifyJob(t.Context(), &replicationv1.VerifyJobRequest{JobType: "migration", JobId: id})
	requireFault(t, err, codes.NotFound, "JOB_NOT_FOUND", id)
	require.NoError(t, m.verify(id))
	_, err = verifier.GetVerification(t.Context(), &replicationv1.GetVerificationRequest{JobType: "migration", JobId: id})
	requireFault(t, err, codes.NotFound, "JOB_NOT_FOUND", id)
	require.Equal(t, "pending", m.detail(admin, id).GetVerification().GetState(), fmt.Sprint(m.detail(admin, id)))
}

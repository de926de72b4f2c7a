package replication_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
)

func TestTenancy(t *testing.T) {
	t.Parallel()
	m := startManager(t)
	mine := m.create(alice, "mine")
	m.create(bob, "theirs")
	ids := func(p authn.Principal) []string {
		list, err := m.jobs(p).ListJobs(t.Context(), &replicationv1.ListJobsRequest{JobType: "migration"})
		require.NoError(t, err)
		var all []string
		for _, j := range list.GetJobs() {
			all = append(all, j.GetJobId())
		}
		return all
	}
	require.Equal(t, []string{"mine-migration"}, ids(alice))
	require.Equal(t, []string{"theirs-migration"}, ids(bob))
	require.Equal(t, []string{"mine-migration", "theirs-migration"}, ids(admin))

	jobs := m.jobs(bob)
	_, err := jobs.GetJob(t.Context(), &replicationv1.GetJobRequest{JobType: "migration", JobId: mine})
	requireFault(t, err, codes.NotFound, "JOB_NOT_FOUND", mine)
	_, err = jobs.PauseJob(t.Context(), &replicationv1.PauseJobRequest{JobType: "migration", JobId: mine})
	requireFault(t, err, codes.NotFound, "JOB_NOT_FOUND", mine)
	_, err = jobs.ResumeJob(t.Context(), &replicationv1.ResumeJobRequest{JobType: "migration", JobId: mine})
	requireFault(t, err, codes.NotFound, "JOB_NOT_FOUND", mine)
	_, err = jobs.DeleteJob(t.Context(), &replicationv1.DeleteJobRequest{JobType: "migration", JobId: mine})
	requireFault(t, err, codes.NotFound, "JOB_NOT_FOUND", mine)

	m.node("n1").reconcile()
	detail := m.detail(alice, mine)
	_, err = replicationv1.NewMonitorServiceClient(m.as(bob)).GetTaskStatus(t.Context(), &replicationv1.GetTaskStatusRequest{
		AllocationId: detail.GetTaskLogs()[0].GetAllocationId(), TaskName: "src",
	})
	requireFault(t, err, codes.NotFound, "ALLOCATION_NOT_FOUND", detail.GetTaskLogs()[0].GetAllocationId())

	_, err = m.jobs(anyone).ListJobs(t.Context(), &replicationv1.ListJobsRequest{JobType: "migration"})
	requireFault(t, err, codes.PermissionDenied, "FORBIDDEN", "/v2/jobs/migration")
	_, err = replicationv1.NewWorkerServiceClient(m.as(admin)).Reconcile(t.Context(), &replicationv1.ReconcileRequest{NodeId: uuid.NewString(), NodeName: "x"})
	requireFault(t, err, codes.PermissionDenied, "FORBIDDEN", "Reconcile")
	_, err = m.jobs(asWorker).ListJobs(t.Context(), &replicationv1.ListJobsRequest{JobType: "migration"})
	requireFault(t, err, codes.PermissionDenied, "FORBIDDEN", workerService)
}

func TestWrongTypeAndUnknownJobs(t *testing.T) {
	t.Parallel()
	m := startManager(t)
	id := m.create(alice, "a")
	jobs := m.jobs(alice)
	_, err := jobs.GetJob(t.Context(), &replicationv1.GetJobRequest{JobType: "sync", JobId: id})
	requireFault(t, err, codes.InvalidArgument, "JOB_TYPE_MISMATCH", "job_id")
	_, err = jobs.DeleteJob(t.Context(), &replicationv1.DeleteJobRequest{JobType: "sync", JobId: id})
	requireFault(t, err, codes.InvalidArgument, "JOB_TYPE_MISMATCH", id)
	_, err = jobs.PauseJob(t.Context(), &replicationv1.PauseJobRequest{JobType: "migration", JobId: "b-migration"})
	requireFault(t, err, codes.NotFound, "JOB_NOT_FOUND", "b-migration")
	_, err = jobs.ListJobs(t.Context(), &replicationv1.ListJobsRequest{JobType: "migration", PageToken: "made up"})
	requireFault(t, err, codes.InvalidArgument, "INVALID_REQUEST", "page_token")
}

func TestListFiltersAndPages(t *testing.T) {
	t.Parallel()
	m := startManager(t)
	for _, name := range []string{"b1", "a1", "a2", "a%", "c"} {
		m.create(alice, strings.ReplaceAll(name, "%", "_"))
	}
	_, err := m.jobs(alice).PauseJob(t.Context(), &replicationv1.PauseJobRequest{JobType: "migration", JobId: "a2-migration"})
	require.NoError(t, err)
	for name, try := range map[string]struct {
		request *replicationv1.ListJobsRequest
		want    []string
	}{
		"all":      {&replicationv1.ListJobsRequest{}, []string{"a1", "a2", "a_", "b1", "c"}},
		"prefix":   {&replicationv1.ListJobsRequest{FilterJobName: "a"}, []string{"a1", "a2", "a_"}},
		"literal":  {&replicationv1.ListJobsRequest{FilterJobName: "a_"}, []string{"a_"}},
		"status":   {&replicationv1.ListJobsRequest{FilterJobStatus: "paused"}, []string{"a2"}},
		"newest":   {&replicationv1.ListJobsRequest{OrderBy: "job_create_time"}, []string{"c", "a_", "a2", "a1", "b1"}},
		"nothing":  {&replicationv1.ListJobsRequest{FilterJobName: "z"}, nil},
		"combined": {&replicationv1.ListJobsRequest{FilterJobName: "a", FilterJobStatus: "pending", OrderBy: "job_create_time"}, []string{"a_", "a1"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, size := range []int32{0, 1, 2, 3} {
				r := proto.CloneOf(try.request)
				r.JobType, r.PageSize = "migration", size
				var got []string
				for pages := 0; ; pages++ {
					require.Less(t, pages, 10)
					list, err := m.jobs(alice).ListJobs(t.Context(), r)
					require.NoError(t, err)
					for _, j := range list.GetJobs() {
						got = append(got, strings.TrimSuffix(j.GetJobId(), "-migration"))
					}
					if r.PageToken = list.GetNextPageToken(); r.GetPageToken() == "" {
						break
					}
				}
				require.Equal(t, try.want, got, "page size %d", size)
			}
		})
	}
}

func TestOperatorsSeeTheirOwnAndWhatTheirRoleNames(t *testing.T) {
	t.Parallel()
	m := startManager(t)
	carol := authn.Principal{Tenant: "shop", User: "carol", Role: "operator"}
	dora := authn.Principal{Tenant: "shop", User: "dora", Role: "operator"}
	emil := authn.Principal{Tenant: "shop", User: "emil", Role: "operator"}
	m.create(carol, "carols")
	m.create(dora, "doras")
	emils := m.create(emil, "emils")

	ctx, jobs := t.Context(), m.jobs(carol)
	list, err := jobs.ListJobs(ctx, &replicationv1.ListJobsRequest{JobType: "migration"})
	require.NoError(t, err)
	require.Len(t, list.GetJobs(), 2, "her own and those of dora, whom her role names")
	for _, job := range list.GetJobs() {
		require.NotEqual(t, emils, job.GetJobId())
	}
	_, err = jobs.GetJob(ctx, &replicationv1.GetJobRequest{JobType: "migration", JobId: emils})
	requireFault(t, err, codes.NotFound, "JOB_NOT_FOUND", emils)
	_, err = jobs.DeleteJob(ctx, &replicationv1.DeleteJobRequest{JobType: "migration", JobId: emils})
	requireFault(t, err, codes.NotFound, "JOB_NOT_FOUND", emils)
	_, err = jobs.PauseJob(ctx, &replicationv1.PauseJobRequest{JobType: "migration", JobId: "doras-migration"})
	require.NoError(t, err)
	all, err := m.jobs(alice).ListJobs(ctx, &replicationv1.ListJobsRequest{JobType: "migration"})
	require.NoError(t, err)
	require.Len(t, all.GetJobs(), 3, "an admin sees all of the tenant")
}

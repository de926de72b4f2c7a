package e2e

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"
	dnsv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/dns/v1"
	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/gateway"
	"github.com/opsdeck/opsdeck/pkg/apitest"
)

// packages are those whose RPCs a standalone serves, and the sockets that serve them.
var packages = map[protoreflect.FullName]string{
	authv1.File_opsdeck_auth_v1_sessions_proto.Package():           "auth",
	dnsv1.File_opsdeck_dns_v1_servers_proto.Package():              "dns",
	replicationv1.File_opsdeck_replication_v1_jobs_proto.Package(): "replication",
}

// sample fills the requests that access is tried with. The ids and names are those of things that platform has.
var sample = apitest.Sample{Known: map[string]any{
	"tenant": "platform", "username": "admin", "user_name": "admin", "id": 1, "pass_word": "Secret-09", "password": "Secret-09",
	"authority": "[]", "operation_users": []any{"platform:admin"}, "job_type": "migration", "job_id": "x-migration",
	"email": "nobody@example.com", "phone": "1", "page_token": "", "issuer": "https://issuer.example.com", "appname": "x", "module_name": "application",
	"opsdeck.replication.v1.DecideStatementRequest.position":  "bin.000001:4",
	"opsdeck.replication.v1.DecideStatementRequest.statement": "DROP TABLE shop.gone",
}}

// notServed are services that opsdeck calls and others implement.
var notServed = map[protoreflect.FullName]bool{"opsdeck.auth.v1.ResourceDirectoryService": true}

// endSessions are RPCs that take the caller's sessions away: the administrator's are needed by other tests.
var endSessions = map[protoreflect.FullName]bool{
	"opsdeck.auth.v1.SessionService.Logout":                true,
	"opsdeck.auth.v1.SessionService.RevokeMySession":       true,
	"opsdeck.auth.v1.SessionService.RevokeMyOtherSessions": true,
	"opsdeck.auth.v1.CookieService.CloseSession":           true,
}

// ownView are RPCs whose ids are of things that the service does not own: each tenant sees its own rows about them.
var ownView = map[protoreflect.FullName]bool{
	"opsdeck.auth.v1.ApplicationGrantService.ListApplicationRoles": true,
	"opsdeck.auth.v1.ApplicationGrantService.ListApplicationUsers": true,
	"opsdeck.auth.v1.HostGrantService.ListHostRoles":               true,
	"opsdeck.auth.v1.HostGrantService.ListHostUsers":               true,
	"opsdeck.auth.v1.TreeLevelService.ListTreeLevels":              true,
	"opsdeck.auth.v1.GrantAuditService.ListResourceGrantChanges":   true,
}

// Every RPC refuses whoever its rule does not let in, over gRPC and at every HTTP address it has: generated from the registry, so
// that no RPC and no caller can be forgotten.
func TestEveryMethodKeepsStrangersOut(t *testing.T) {
	t.Parallel()
	o := sharedOpsdeck(t)
	tokens := o.callers(t)
	methods := 0
	for name, socket := range packages {
		r := apitest.Runner{BaseURL: "http://" + o.address, Client: httpClient, Check: o.checkAnswer, Tokens: tokens, Conn: o.dial(t, socket)}
		protoregistry.GlobalFiles.RangeFilesByPackage(name, func(file protoreflect.FileDescriptor) bool {
			for method := range methodsOf(file) {
				if notServed[method.Parent().FullName()] {
					continue
				}
				methods++
				t.Run(string(method.FullName()), func(t *testing.T) {
					t.Parallel()
					newGate(t, r, method).keepsOut(t)
				})
			}
			return true
		})
	}
	require.GreaterOrEqual(t, methods, 15, "the registry has the methods")
	for _, service := range gateway.Services() {
		require.Contains(t, packages, service.Parent(), "%s is relayed, and nobody tries its access", service)
	}
}

// dial connects to one of the services behind the gateway.
func (o *opsdeck) dial(t testing.TB, socket string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("unix://"+filepath.Join(o.data, "run", socket), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	return conn
}

// The same request means the same over HTTP and over gRPC, and a refusal has a reason that programs can go by.
func TestHTTPAndGRPCAgree(t *testing.T) {
	t.Parallel()
	o, p, schema := sharedOpsdeck(t), sharedPair(t), newSchema()
	p.source.load(t, schema, 1)
	job := p.job("both-"+schema, schema)
	job["task_step_name"] = "job_stage_full"
	id := o.create(t, job)
	o.awaitStatus(t, id, "finished")
	cases := apitest.Load(t, os.DirFS("testdata"), "both/*.yaml", map[string]string{
		"name": "both-" + schema, "job": id, "src": strconv.Itoa(int(p.source.Port())),
	})
	r := o.runner()
	r.Conn = o.dial(t, "replication")
	t.Run("cases", func(t *testing.T) { r.Run(t, cases) })
	require.Equal(t, []string{id}, o.list(t, "filter_job_name=both-"+schema))
	require.Empty(t, o.list(t, "filter_job_name=unbound-"))
	o.order(t, "delete", id)
}

func methodsOf(file protoreflect.FileDescriptor) map[protoreflect.MethodDescriptor]bool {
	all := map[protoreflect.MethodDescriptor]bool{}
	for i := range file.Services().Len() {
		service := file.Services().Get(i)
		for j := range service.Methods().Len() {
			all[service.Methods().Get(j)] = true
		}
	}
	return all
}

// forge changes one letter in the middle of a token's signature.
func forge(token string) string {
	at := len(token) - 20
	letter := "A"
	if token[at:at+1] == letter {
		letter = "B"
	}
	return token[:at] + letter + token[at+1:]
}

package gateway

import (
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/reflect/protoreflect"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"
	dnsv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/dns/v1"
	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/rpc"

	"github.com/opsdeck/opsdeck/gateway/internal/relay"
)

// backends is the table of what is relayed where. The first is auth, whose keys sign the tokens of callers.
func backends(cfg Config) []relay.Backend {
	return []relay.Backend{
		{Name: "auth", Address: cfg.Auth, Services: []relay.Service{
			{Name: authv1.AppKeyService_ServiceDesc.ServiceName, Register: authv1.RegisterAppKeyServiceHandler},
			{Name: authv1.ApplicationGrantService_ServiceDesc.ServiceName, Register: authv1.RegisterApplicationGrantServiceHandler},
			{Name: authv1.CookieService_ServiceDesc.ServiceName, Register: authv1.RegisterCookieServiceHandler},
			{Name: authv1.GrantAuditService_ServiceDesc.ServiceName, Register: authv1.RegisterGrantAuditServiceHandler},
			{Name: authv1.HostGrantService_ServiceDesc.ServiceName, Register: authv1.RegisterHostGrantServiceHandler},
			{Name: authv1.MenuService_ServiceDesc.ServiceName, Register: authv1.RegisterMenuServiceHandler},
			{Name: authv1.OidcService_ServiceDesc.ServiceName, Register: authv1.RegisterOidcServiceHandler},
			{Name: authv1.RecoveryService_ServiceDesc.ServiceName, Register: authv1.RegisterRecoveryServiceHandler},
			{Name: authv1.RefreshService_ServiceDesc.ServiceName, Register: authv1.RegisterRefreshServiceHandler},
			{Name: authv1.RoleService_ServiceDesc.ServiceName, Register: authv1.RegisterRoleServiceHandler},
			{Name: authv1.SecondFactorService_ServiceDesc.ServiceName, Register: authv1.RegisterSecondFactorServiceHandler},
			{Name: authv1.SessionService_ServiceDesc.ServiceName, Register: authv1.RegisterSessionServiceHandler},
			{Name: authv1.TenantService_ServiceDesc.ServiceName, Register: authv1.RegisterTenantServiceHandler},
			{Name: authv1.TokenService_ServiceDesc.ServiceName, Register: authv1.RegisterTokenServiceHandler},
			{Name: authv1.UserService_ServiceDesc.ServiceName, Register: authv1.RegisterUserServiceHandler},
			{Name: authv1.PermissionService_ServiceDesc.ServiceName, Register: authv1.RegisterPermissionServiceHandler},
		}},
		{Name: "replication-jobs", Address: cfg.ReplicationJobs, Services: []relay.Service{
			{Name: replicationv1.JobService_ServiceDesc.ServiceName, Register: replicationv1.RegisterJobServiceHandler},
			{Name: replicationv1.SubscriptionService_ServiceDesc.ServiceName, Register: replicationv1.RegisterSubscriptionServiceHandler},
			{Name: replicationv1.NodeService_ServiceDesc.ServiceName, Register: replicationv1.RegisterNodeServiceHandler},
			{Name: replicationv1.MonitorService_ServiceDesc.ServiceName, Register: replicationv1.RegisterMonitorServiceHandler},
			{Name: replicationv1.MySQLService_ServiceDesc.ServiceName, Register: replicationv1.RegisterMySQLServiceHandler},
			{Name: replicationv1.LogService_ServiceDesc.ServiceName, Register: replicationv1.RegisterLogServiceHandler},
			{Name: replicationv1.ValidationService_ServiceDesc.ServiceName, Register: replicationv1.RegisterValidationServiceHandler},
			{Name: replicationv1.VerifyService_ServiceDesc.ServiceName, Register: replicationv1.RegisterVerifyServiceHandler},
		}},
		{Name: "dns", Address: cfg.DNS, Services: []relay.Service{
			{Name: dnsv1.ServerService_ServiceDesc.ServiceName, Register: dnsv1.RegisterServerServiceHandler},
			{Name: dnsv1.DomainService_ServiceDesc.ServiceName, Register: dnsv1.RegisterDomainServiceHandler},
			{Name: dnsv1.RecordService_ServiceDesc.ServiceName, Register: dnsv1.RegisterRecordServiceHandler},
			{Name: dnsv1.ChangeService_ServiceDesc.ServiceName, Register: dnsv1.RegisterChangeServiceHandler},
			{Name: dnsv1.DriftService_ServiceDesc.ServiceName, Register: dnsv1.RegisterDriftServiceHandler},
			{Name: dnsv1.OperationService_ServiceDesc.ServiceName, Register: dnsv1.RegisterOperationServiceHandler},
		}},
	}
}

// dial opens one connection per backend and returns what closes them all.
func dial(cfg Config) (all []relay.Backend, hangUp func(), err error) {
	var conns []*grpc.ClientConn
	hangUp = func() {
		for _, conn := range conns {
			_ = conn.Close() // nothing is under way any more
		}
	}
	creds, err := cfg.TLS.Client()
	if err != nil {
		return nil, nil, err
	}
	all = backends(cfg)
	for i := range all {
		if err := rpc.RequireTLS(all[i].Address, creds); err != nil {
			hangUp()
			return nil, nil, fmt.Errorf("address of %s: %w", all[i].Name, err)
		}
		all[i].Conn, err = rpc.Dial(rpc.ClientConfig{Target: all[i].Address, TLS: creds, MaxMessage: cfg.MaxMessage})
		if err != nil {
			hangUp()
			return nil, nil, err
		}
		conns = append(conns, all[i].Conn)
	}
	return all, hangUp, nil
}

// Services lists the full names of the gRPC services that are relayed.
func Services() []protoreflect.FullName {
	var names []protoreflect.FullName
	for _, backend := range backends(Config{}) {
		for _, service := range backend.Services {
			names = append(names, protoreflect.FullName(service.Name))
		}
	}
	return names
}

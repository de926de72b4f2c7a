// Package server keeps the name servers that opsdeck drives, and their drivers.
package server

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	dnsv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/dns/v1"
	eventv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/event/v1"

	"github.com/opsdeck/opsdeck/pkg/bus"
	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/page"
	"github.com/opsdeck/opsdeck/pkg/pg"
	"github.com/opsdeck/opsdeck/pkg/secret"

	"github.com/opsdeck/opsdeck/services/dns/internal/audit"
	"github.com/opsdeck/opsdeck/services/dns/internal/nameserver"
	"github.com/opsdeck/opsdeck/services/dns/internal/reach"
	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
	"github.com/opsdeck/opsdeck/services/dns/internal/zone"
)

// Makes of servers.
const (
	BIND     = "bind"
	PowerDNS = "powerdns"
)

// checkTimeout bounds the questions to a server that is to be added.
const checkTimeout = 10 * time.Second

// Pages are the sizes of the pages of every list of the service.
var Pages = page.Limits{Default: 10, Max: 100}

// Service serves the ServerService.
type Service struct {
	dnsv1.UnimplementedServerServiceServer

	changer *zone.Changer
	drivers *Drivers
	sealer  *secret.Sealer
}

// NewService returns the ServerService.
func NewService(changer *zone.Changer, drivers *Drivers, sealer *secret.Sealer) *Service {
	return &Service{changer: changer, drivers: drivers, sealer: sealer}
}

// ListServers implements the ServerService.
func (s *Service) ListServers(ctx context.Context, r *dnsv1.ListServersRequest) (*dnsv1.ListServersResponse, error) {
	offset, limit, err := Pages.Offset(r.GetPage(), r.GetPageSize())
	if err != nil {
		return nil, err
	}
	count, rows, err := list(ctx, s.changer.Pool, filter{
		reach: reach.Of(ctx), creator: r.GetCreator(), name: r.GetName(), description: r.GetDescription(), offset: offset, limit: limit,
	})
	if err != nil {
		return nil, err
	}
	answer := &dnsv1.ListServersResponse{Count: count}
	for _, row := range rows {
		answer.Results = append(answer.Results, row.toProto())
	}
	return answer, nil
}

// CreateServer implements the ServerService.
func (s *Service) CreateServer(ctx context.Context, r *dnsv1.CreateServerRequest) (*dnsv1.CreateServerResponse, error) {
	by := zone.Caller(ctx)
	row := Row{
		Tenant: by.Tenant, Name: r.GetName(), Type: cmp.Or(r.GetType(), BIND), APIEndpoint: r.GetApiEndpoint(), Description: r.GetDescription(),
		NameServers: []string{}, Creator: by.User,
	}
	own := secrets{APIKey: r.GetApiKey(), AgentToken: r.GetAgentToken(), TSIGName: r.GetTsigName(), TSIGSecret: r.GetTsigSecret()}
	if err := check(row, own); err != nil {
		return nil, err
	}
	names, err := NameServers(r.GetNameServers())
	if err != nil {
		return nil, err
	}
	row.NameServers = append(row.NameServers, names...)
	if err := s.ask(ctx, row, own); err != nil {
		return nil, err
	}
	err = pg.InTx(ctx, s.changer.Pool, func(ctx context.Context, tx pgx.Tx) (err error) {
		if row, err = insert(ctx, tx, s.sealer, row, own); err != nil {
			return err
		}
		author := audit.Author{Tenant: by.Tenant, User: by.User, Name: by.Name, At: s.changer.Now()}
		added := audit.Operation{Target: audit.Server, Type: audit.Added, Detail: "added server " + row.Name + " (" + row.Type + ", " + row.APIEndpoint + ")"}
		if err := audit.Write(ctx, tx, author, []audit.Operation{added}); err != nil {
			return err
		}
		return bus.Publish(ctx, tx, s.changer.Queue, bus.Event{
			Type: "opsdeck.dns.server.created", Subject: strconv.FormatInt(row.ID, 10), Tenant: row.Tenant,
			Data: &eventv1.DnsServerChanged{ServerId: row.ID, Name: row.Name, ChangedBy: by.Name},
		})
	})
	if err != nil {
		return nil, err
	}
	return &dnsv1.CreateServerResponse{Server: row.toProto()}, nil
}

// ask asks a server that is to be added whether it is what it should be.
func (s *Service) ask(ctx context.Context, row Row, own secrets) error {
	driver, err := s.drivers.open(row, own)
	if err != nil {
		return err
	}
	defer closeDriver(driver)
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	return Fault(driver.Check(ctx))
}

// Fault turns what a driver says about its server into a fault for a caller who waits for it: NAME_SERVER_UNREACHABLE, NAME_SERVER_REFUSED,
// ZONE_UNKNOWN. Other errors pass.
func Fault(err error) error {
	var unreachable *nameserver.Unreachable
	var refused *nameserver.Refused
	switch {
	case errors.As(err, &unreachable):
		return fault.Unavailable("NAME_SERVER_UNREACHABLE", "%s", err.Error()).Chinese("无法连接 DNS 服务器：%s", err.Error())
	case errors.As(err, &refused):
		return fault.Unavailable("NAME_SERVER_REFUSED", "%s", err.Error()).Chinese("DNS 服务器拒绝了请求：%s", err.Error())
	case errors.Is(err, nameserver.ErrZoneUnknown):
		return fault.Precondition("ZONE_UNKNOWN", "%s", err.Error()).Chinese("服务器上没有该域，或它不是该域的主服务器")
	}
	return err
}

// check refuses what no server can be. What is not of its make would never be used.
func check(row Row, own secrets) error {
	u, err := url.Parse(row.APIEndpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || !printable(row.APIEndpoint) {
		return fault.Invalid("api_endpoint", "must be an http or https URL without user, query and fragment, for instance http://127.0.0.1:8053/").
			Chinese("必须是不含用户、查询和片段的 http 或 https 地址，例如 http://127.0.0.1:8053/")
	}
	if !printable(row.Name) {
		return fault.Invalid("name", "must not hold line ends or control characters").Chinese("不能含换行或控制字符")
	}
	for name, given := range map[string]bool{
		"api_key":     row.Type != PowerDNS && own.APIKey != "",
		"agent_token": row.Type != BIND && own.AgentToken != "", "tsig_name": row.Type != BIND && own.TSIGName != "",
		"tsig_secret": row.Type != BIND && own.TSIGSecret != "",
	} {
		if given {
			return fault.Invalid(name, "a server of type %s has none", row.Type).Chinese("类型为 %s 的服务器没有此项", row.Type)
		}
	}
	return nil
}

func printable(text string) bool {
	for _, r := range text {
		if !strconv.IsPrint(r) {
			return false
		}
	}
	return true
}

// NameServers returns the canonical names of name servers. Errors: invalid name_servers.
func NameServers(names []string) ([]string, error) {
	canonical := make([]string, 0, len(names))
	for _, name := range names {
		e, err := rrset.Parse("invalid.", 0, rrset.Draft{Name: "invalid.", Type: "NS", Value: name})
		var problem *rrset.Problem
		if errors.As(err, &problem) {
			return nil, fault.Invalid("name_servers", "%s", problem.English).Chinese("%s", problem.Chinese)
		}
		if err != nil {
			return nil, err
		}
		canonical = append(canonical, e.Value)
	}
	return canonical, nil
}

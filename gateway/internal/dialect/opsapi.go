package dialect

import (
	"net/http"
	"strconv"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/opsdeck/opsdeck/gateway/internal/wire"
)

// dns is the package of the service dns.
const dns = "opsdeck.dns.v1"

// opsapi is the dialect of contract 002: bare objects and lists, pages with links to their neighbours, errors with a number.
var opsapi = &Dialect{
	Name: "opsapi",
	prefixes: []string{
		"/app-keys", "/applications", "/application", "/audit", "/auth-tokens", "/common-utils", "/dns-services", "/external-navigators",
		"/hosts", "/host", "/productions", "/resource-request", "/roles", "/users", "/webshell",
	},
	caller:  header("Token", "Bearer"),
	aliases: map[string]string{"page_number": pageNumber},
	paged:   true,
	detours: map[string]Detour{
		"POST /dns-services":                         {"GET /dns-services", isEmpty},
		"POST /users/{}/application/perms":           {"POST /users/{}/host/perms", aboutHosts},
		"PATCH /applications/{}/authorization/users": {"PATCH /hosts/{}/authorization/users", aboutHosts},
		"PATCH /applications/{}/authorization/roles": {"PATCH /hosts/{}/authorization/roles", aboutHosts},
		"PATCH /application/{}/authorization/users":  {"PATCH /hosts/{}/authorization/users", aboutHosts},
		"PATCH /application/{}/authorization/roles":  {"PATCH /hosts/{}/authorization/roles", aboutHosts},
	},
	fields: map[protoreflect.FullName]fields{
		dns + ".DomainService.DeleteDomain":          {aliases: map[string]string{"id": "domain_id"}},
		dns + ".RecordService.UpdateRecord":          {aliases: map[string]string{"id": "record_id"}},
		dns + ".RecordService.DeleteRecord":          {aliases: map[string]string{"id": "record_id"}},
		auth + ".PermissionService.GrantUserModules": {single: true},
		auth + ".PermissionService.GrantRoleModules": {single: true},
	},
	names: wire.Names{
		auth + ".ApplicationGrant":      {"permissions": "permission"},
		auth + ".HostGrant":             {"permissions": "permission"},
		auth + ".UserPermissionsChange": {"permissions": "permission"},
		auth + ".RolePermissionsChange": {"permissions": "permission"},
	},
	encoder: wire.NewEncoder(wire.Rules{Time: localOffset, Omit: wire.FieldSet(auth, "Account.tenant", "RoleEntry.tenant")}),
	success: opsapiSuccess,
	failure: opsapiFailure,
}

// opsapiSuccess prints the documents' type Message where an RPC has nothing to say, and the links of a page.
func opsapiSuccess(d *Dialect, dst []byte, a Answer) ([]byte, error) {
	switch {
	case a.Message.Descriptor().Fields().Len() == 0:
		return append(dst, `{"message":"success"}`...), nil
	case a.Page == nil:
		return d.payload(dst, a)
	}
	dst, err := d.encoder.AppendMembers(append(dst, '{'), a.Message, a.Sent)
	rows := a.Message.Get(a.Message.Descriptor().Fields().ByName(pageCount)).Int()
	return append(a.Page.appendLinks(dst, rows), '}'), err
}

func opsapiFailure(dst []byte, f failed) (int, []byte) {
	number := opsapiNumbers.of(f)
	dst = strconv.AppendInt(append(dst, `{"error_code":`...), number.code, 10)
	dst = wire.AppendString(append(dst, `,"message":`...), f.text)
	return number.status, append(dst, '}')
}

// numbered is a documented error: its number, which is unique only together with the endpoint, and its HTTP status.
type numbered struct {
	code   int64
	status int
}

// numbersOf are the errors that endpoints number themselves, by RPC and reason of the fault.
type numbersOf map[protoreflect.FullName]map[string]numbered

var opsapiNumbers = numbersOf{
	auth + ".RecoveryService.ChangePassword":                 {"PASSWORD_ORIGINAL_WRONG": {300001, http.StatusBadRequest}},
	auth + ".PermissionService.GrantUserModules":             grantNumbers,
	auth + ".PermissionService.GrantRoleModules":             grantNumbers,
	auth + ".ApplicationGrantService.GrantUserApplications":  grantNumbers,
	auth + ".ApplicationGrantService.GrantRoleApplications":  grantNumbers,
	auth + ".ApplicationGrantService.UpdateApplicationUsers": grantNumbers,
	auth + ".ApplicationGrantService.UpdateApplicationRoles": grantNumbers,
	auth + ".HostGrantService.GrantUserHosts":                grantNumbers,
	auth + ".HostGrantService.GrantRoleHosts":                grantNumbers,
	auth + ".HostGrantService.UpdateHostUsers":               grantNumbers,
	auth + ".HostGrantService.UpdateHostRoles":               grantNumbers,
}

// grantNumbers are those of all calls that grant.
var grantNumbers = map[string]numbered{
	"PERMISSION_UNDEFINED": {30001, http.StatusBadRequest},
	"GRANT_DENIED":         {30002, http.StatusBadRequest},
}

// of returns the number of an error: the endpoint's own, or the one that fits its status.
func (n numbersOf) of(f failed) numbered {
	if own, ok := n[f.rpc][f.Reason]; ok {
		return own
	}
	if global, ok := opsapiGlobal[f.status]; ok {
		return numbered{global, f.status}
	}
	return numbered{opsapiGlobal[http.StatusInternalServerError], f.status}
}

// opsapiGlobal are the numbers of errors that no endpoint numbers itself, by HTTP status.
var opsapiGlobal = map[int]int64{
	http.StatusInternalServerError:  10000,
	http.StatusBadRequest:           10001,
	http.StatusUnauthorized:         10002,
	http.StatusForbidden:            10003,
	http.StatusNotFound:             10004,
	http.StatusMethodNotAllowed:     10005,
	http.StatusConflict:             10006,
	http.StatusUnsupportedMediaType: 10007,
	http.StatusBadGateway:           10008,
}

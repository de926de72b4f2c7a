package dialect

import (
	"bytes"
	"encoding/json"
	"regexp"
)

// Detour is where a call goes whose body belongs to another RPC than its address.
type Detour struct {
	To   string // method and path of that RPC, each variable as {}
	when func(body any) bool
}

// empty stands for the content of a body without any.
type empty struct{}

// variable is a part of a path that a .proto file names.
var variable = regexp.MustCompile(`\{[^}]*\}`)

// Address returns the method and path of a route without the names of its variables, as the table of detours has them.
func Address(method, pattern string) string {
	return method + " " + variable.ReplaceAllString(pattern, "{}")
}

// Detour returns the way out of a route whose address the documents give to two RPCs.
func (d *Dialect) Detour(method, pattern string) (Detour, bool) {
	other, ok := d.detours[Address(method, pattern)]
	return other, ok
}

// Takes reports whether a body is meant for the RPC that the detour leads to. What is no JSON stays where it came in, where it is
// refused with a reason.
func (d Detour) Takes(body []byte) bool {
	if len(bytes.TrimSpace(body)) == 0 {
		return d.when(empty{})
	}
	var value any
	return json.Unmarshal(body, &value) == nil && d.when(value)
}

// isEmpty tells a question, which the documents print as a POST without a body, from the POST that changes something.
func isEmpty(body any) bool { return body == empty{} }

// isRole tells roles from users, whose paths the documents print over both.
func isRole(body any) bool {
	object, _ := body.(map[string]any)
	return has(object, "name") && !has(object, "username") && !has(object, "user_name")
}

func has(object map[string]any, member string) bool {
	_, ok := object[member]
	return ok
}

// hostPermissions are the keys of HostPermission (contract 002, types).
var hostPermissions = map[string]bool{
	"view_host": true, "edit_host": true, "delete_host": true, "init_host": true, "restart_host": true, "login_host": true, "deactivate_host": true,
}

// aboutHosts tells grants on hosts from grants on applications: there is a permission of hosts, and none of anything else. The
// grants are the body, or its member authorizations.
func aboutHosts(body any) bool {
	if object, ok := body.(map[string]any); ok {
		body = object["authorizations"]
	}
	grants, _ := body.([]any)
	found := false
	for _, grant := range grants {
		object, _ := grant.(map[string]any)
		for _, name := range []string{"permission", "permissions"} {
			keys, _ := object[name].(map[string]any)
			for key := range keys {
				if !hostPermissions[key] {
					return false
				}
				found = true
			}
		}
	}
	return found
}

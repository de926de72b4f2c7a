package session

import "strings"

// SplitName takes a name apart that somebody types where the document knows no tenants: tenant:username, or the name of a user of the
// tenant given. User names have no colon.
func SplitName(name, tenant string) (of, username string) {
	if before, after, ok := strings.Cut(name, ":"); ok {
		return before, after
	}
	return tenant, name
}

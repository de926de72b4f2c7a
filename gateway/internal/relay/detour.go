package relay

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/opsdeck/opsdeck/gateway/internal/dialect"
	"github.com/opsdeck/opsdeck/gateway/internal/route"
)

// detour is the other route of an address that the documents give to two RPCs.
type detour struct {
	dialect.Detour
	to *route.Route
}

// detoursOf finds where the detours of the dialects lead to.
func detoursOf(routes *route.Table) (map[*route.Route]detour, error) {
	byAddress := map[string]*route.Route{}
	for _, r := range routes.Routes() {
		byAddress[dialect.Address(r.Method, r.Pattern)] = r
	}
	all := map[*route.Route]detour{}
	var lost []error
	for _, r := range routes.Routes() {
		d, ok := dialect.Of(r.Pattern).Detour(r.Method, r.Pattern)
		if !ok {
			continue
		}
		to := byAddress[d.To]
		if to == nil {
			lost = append(lost, fmt.Errorf("%s %s leads to %s, which nobody serves", r.Method, r.Pattern, d.To))
		}
		all[r] = detour{d, to}
	}
	return all, errors.Join(lost...)
}

// detour moves a call to the RPC that its body is meant for, and returns its path there. It reads the body for that, and puts it
// back.
func (h *Relay) detour(r *http.Request, ex *exchange, path string) (string, error) {
	other, ok := h.detours[ex.route]
	if !ok {
		return path, nil
	}
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return path, unreadable(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(data))
	if !other.Takes(data) {
		return path, nil
	}
	path = along(other.to.Pattern, ex.route.Pattern, path)
	ex.route = other.to
	return path, nil
}

// along returns a path that fits the pattern to and has the values that path has in the pattern from, in their order.
func along(to, from, path string) string {
	var values []string
	segments := strings.Split(path, "/")
	for i, segment := range strings.Split(from, "/") {
		if strings.HasPrefix(segment, "{") {
			values = append(values, segments[i])
		}
	}
	parts := strings.Split(to, "/")
	for i, part := range parts {
		if strings.HasPrefix(part, "{") && len(values) > 0 {
			parts[i], values = values[0], values[1:]
		}
	}
	return strings.Join(parts, "/")
}

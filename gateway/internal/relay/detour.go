package relay

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// detour finds the route of a call whose path the documents give to two RPCs. It reads the body for that, and puts it back. A
// body that is no JSON object stays on its path, where it is refused with a reason.
func (h *Relay) detour(r *http.Request, ex *exchange, path string) (string, error) {
	choose := ex.dialect.Detour(path)
	if choose == nil {
		return path, nil
	}
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return path, unreadable(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(data))
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return path, nil //nolint:nilerr // the decoder says it better
	}
	chosen := choose(func(member string) bool { _, ok := members[member]; return ok })
	if chosen == path {
		return path, nil
	}
	ex.route = h.routes.Match(chosen)[ex.route.Method]
	if ex.route == nil {
		return path, fmt.Errorf("%s of dialect %s leads to %s, which nobody serves", path, ex.dialect.Name, chosen)
	}
	return chosen, nil
}

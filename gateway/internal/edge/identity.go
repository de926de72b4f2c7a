package edge

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/opsdeck/opsdeck/pkg/rpc"
)

const requestIDHeader = "X-Request-Id"

// maxRequestID bounds an id that the client chose: it stands in every log line.
const maxRequestID = 64

// identified gives a call its id, the client's own if it has a usable one, and the address of the client.
func identified(trusted []netip.Prefix) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			id := r.Header.Get(requestIDHeader)
			if id == "" || len(id) > maxRequestID || strings.ContainsFunc(id, func(c rune) bool { return c < '!' || c > '~' }) {
				id = rpc.NewRequestID()
			}
			w.Header().Set(requestIDHeader, id)
			call := rpc.Call{RequestID: id, Address: clientAddress(r, trusted), Agent: rpc.Agent(r.UserAgent())}
			next.ServeHTTP(w, r.WithContext(rpc.WithCall(r.Context(), call)))
		})
	}
}

// clientAddress returns the address nearest to us that is not a trusted proxy: what stands further left in X-Forwarded-For
// could have been written by anybody.
func clientAddress(r *http.Request, trusted []netip.Prefix) netip.Addr {
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	address := remote.Addr().Unmap()
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		if !isTrusted(address, trusted) {
			break
		}
		told, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil {
			break
		}
		address = told.Unmap()
	}
	return address
}

func isTrusted(address netip.Addr, trusted []netip.Prefix) bool {
	return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(address) })
}

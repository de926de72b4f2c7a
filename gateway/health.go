package gateway

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/opsdeck/opsdeck/gateway/internal/edge"
	"github.com/opsdeck/opsdeck/gateway/internal/relay"
)

const readyTimeout = 3 * time.Second

// alive says that the process answers.
func alive() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		edge.Label(r.Context(), "/healthz")
		w.WriteHeader(http.StatusNoContent)
	})
}

// ready asks every backend and names those that are not serving. Why they are not is
// told on the admin port only.
func ready(backends []relay.Backend) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		edge.Label(r.Context(), "/readyz")
		ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
		defer cancel()
		down := make([]bool, len(backends))
		var all sync.WaitGroup
		for i, backend := range backends {
			all.Go(func() { down[i] = backend.Ready(ctx) != nil })
		}
		all.Wait()
		text := ""
		for i, backend := range backends {
			if down[i] {
				text += backend.Name + " is not serving\n"
			}
		}
		if text != "" {
			http.Error(w, strings.TrimSpace(text), http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

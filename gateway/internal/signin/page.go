package signin

import (
	"embed"
	"net/http"

	"github.com/opsdeck/opsdeck/gateway/internal/edge"
)

//go:embed page
var files embed.FS

// resetPath is where links for a forgotten password lead. The token stands behind their #, which browsers keep to themselves.
const resetPath = "/reset-password"

// policy lets the page run its own script, which calls this server, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

// ResetPaths lists the paths of the page.
var ResetPaths = []string{resetPath, resetPath + "/reset.js", resetPath + "/reset.css"}

// RegisterReset adds the page to a mux.
func RegisterReset(mux *http.ServeMux) {
	for path, file := range map[string][2]string{
		resetPath:                {"page/reset.html", "text/html; charset=utf-8"},
		resetPath + "/reset.js":  {"page/reset.js", "text/javascript; charset=utf-8"},
		resetPath + "/reset.css": {"page/reset.css", "text/css; charset=utf-8"},
	} {
		content, err := files.ReadFile(file[0])
		if err != nil {
			panic("signin: an embedded file is missing: " + err.Error())
		}
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			edge.Label(r.Context(), resetPath)
			w.Header().Set("Content-Security-Policy", policy)
			w.Header().Set("Content-Type", file[1])
			_, _ = w.Write(content) // the client may be gone
		})
	}
}

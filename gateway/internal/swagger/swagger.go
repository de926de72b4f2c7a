// Package swagger serves the API document and a page to read and try it, both from the binary: no CDN is asked.
package swagger

import (
	"embed"
	"net/http"

	"github.com/swaggest/swgui/v5emb"

	"github.com/opsdeck/opsdeck/gateway/internal/edge"
	"github.com/opsdeck/opsdeck/gateway/internal/openapi"
)

//go:embed page
var page embed.FS

// policy lets the page run its own scripts and call this server. Swagger UI writes styles and small pictures into the page.
const policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
	"font-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

const index = "/swagger/index.html"

// Register adds the page and the document to a mux.
func Register(mux *http.ServeMux) {
	assets := v5emb.New("opsdeck", "/swagger/doc.json", "/swagger/")
	mux.Handle("GET /swagger/", served("swagger page", "max-age=3600", assets))
	mux.Handle("GET /swagger/{$}", http.RedirectHandler(index, http.StatusFound))
	mux.Handle("GET /swagger", http.RedirectHandler(index, http.StatusFound))
	mux.Handle("GET /{$}", http.RedirectHandler(index, http.StatusFound))
	mux.Handle("GET "+index, served("swagger page", "no-cache", file("page/index.html", "text/html; charset=utf-8")))
	mux.Handle("GET /swagger/init.js", served("swagger page", "no-cache", file("page/init.js", "text/javascript; charset=utf-8")))
	document := served("API document", "no-cache", text(openapi.Document, "application/json"))
	mux.Handle("GET /swagger/doc.json", document)
	mux.Handle("GET /openapi.json", document)
}

// served sets the headers of the page instead of those of the API.
func served(route, caching string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		edge.Label(r.Context(), route)
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("Cache-Control", caching)
		next.ServeHTTP(w, r)
	})
}

func file(name, contentType string) http.Handler {
	content, err := page.ReadFile(name)
	if err != nil {
		panic("swagger: an embedded file is missing: " + err.Error())
	}
	return text(content, contentType)
}

func text(content []byte, contentType string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write(content) // the client may be gone
	})
}

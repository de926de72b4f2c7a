// Package signin is what a browser needs to sign in that is no call of the API: the way to an OpenID Connect provider and back, and
// the page behind the link for a forgotten password.
package signin

import (
	"net/http"
	"strings"

	"google.golang.org/grpc/codes"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/fault"

	"github.com/opsdeck/opsdeck/gateway/internal/dialect"
	"github.com/opsdeck/opsdeck/gateway/internal/edge"
)

const (
	prefix   = "/v2/login/oidc/"
	callback = prefix + "callback"

	// cookie holds what ties a sign-in to the browser that began it.
	cookie       = "opsdeck_oidc"
	cookieMaxAge = 600 // seconds, like the sign-in itself
)

// Provider is the way to a provider and back.
type Provider struct {
	auth authv1.OidcServiceClient
	tls  bool
}

// NewProvider returns the handler of the paths that Takes. tls says that browsers come over TLS.
func NewProvider(auth authv1.OidcServiceClient, tls bool) *Provider {
	return &Provider{auth: auth, tls: tls}
}

// Takes reports whether a path is this handler's.
func Takes(path string) bool { return strings.HasPrefix(path, prefix) }

// ServeHTTP implements http.Handler.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimRight(r.URL.Path, "/")
	tenant, name, two := strings.Cut(strings.TrimPrefix(path, prefix), "/")
	switch {
	case r.Method != http.MethodGet:
		edge.Label(r.Context(), prefix)
		w.Header().Set("Allow", http.MethodGet)
		fail(w, r, &fault.Fault{Code: codes.Unimplemented, Reason: dialect.MethodNotAllowed, Message: r.Method + " is not allowed here, only GET"})
	case path == callback:
		edge.Label(r.Context(), callback)
		p.finish(w, r)
	case two && tenant != "" && name != "" && !strings.Contains(name, "/"):
		edge.Label(r.Context(), prefix+"{tenant}/{provider}")
		p.start(w, r, tenant, name)
	default:
		edge.Label(r.Context(), prefix)
		fail(w, r, fault.NotFound(dialect.PathUnknown, "there is nothing at %s", r.URL.Path))
	}
}

// start sends the browser to the provider.
func (p *Provider) start(w http.ResponseWriter, r *http.Request, tenant, name string) {
	begun, err := p.auth.StartOidcLogin(r.Context(), &authv1.StartOidcLoginRequest{Tenant: tenant, Provider: name})
	if err != nil {
		fail(w, r, err)
		return
	}
	p.setCookie(w, r, begun.GetBrowserSecret(), cookieMaxAge)
	w.Header().Set("Location", begun.GetUrl())
	w.WriteHeader(http.StatusFound)
}

// finish answers as a login does.
func (p *Provider) finish(w http.ResponseWriter, r *http.Request) {
	secret := ""
	if c, err := r.Cookie(cookie); err == nil {
		secret = c.Value
	}
	query := r.URL.Query()
	p.setCookie(w, r, "", -1)
	if secret == "" || query.Get("state") == "" {
		fail(w, r, fault.Unauthenticated("OIDC_LOGIN_UNKNOWN", "this browser has begun no sign-in: begin again"))
		return
	}
	opened, err := p.auth.FinishOidcLogin(r.Context(), &authv1.FinishOidcLoginRequest{
		State: query.Get("state"), Code: query.Get("code"), Error: query.Get("error"), Issuer: query.Get("iss"), BrowserSecret: secret,
	})
	if err != nil {
		fail(w, r, err)
		return
	}
	answer := &authv1.LoginResponse{Token: opened.GetToken(), ExpireTime: opened.GetExpireTime()}
	text, err := dialect.Of(r.URL.Path).Success(dialect.Answer{Message: answer.ProtoReflect()})
	if err != nil {
		fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(text) //nolint:gosec // JSON with every text escaped; the client may be gone
}

// setCookie keeps the secret from scripts and from other sites; Lax lets it come along when the provider sends the browser back.
func (p *Provider) setCookie(w http.ResponseWriter, r *http.Request, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure wherever the browser speaks TLS
		Name: cookie, Value: value, Path: strings.TrimRight(prefix, "/"), MaxAge: maxAge, HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: p.tls || r.Header.Get("X-Forwarded-Proto") == "https", // whoever lies about the latter loses his own cookie
	})
}

// fail answers with a fault of auth. What has no reason is gRPC's own, and may name addresses.
func fail(w http.ResponseWriter, r *http.Request, err error) {
	f := fault.From(err)
	if f == nil || f.Reason == "" {
		f = fault.Unavailable("SERVICE_UNREACHABLE", "the service behind this call cannot be reached now: try again")
	}
	edge.Fail(r.Context(), w, dialect.Of(r.URL.Path), "", f)
}

package dialect

import (
	"net/http"
	"slices"
	"strings"
)

// Kind is what a credential is, and so who can tell whom it belongs to.
type Kind uint8

// The kinds of credentials. Only a JWT says by itself whose it is; auth knows about the others.
const (
	None     Kind = iota
	JWT           // signed by auth
	APIToken      // made by a user for a program: Authorization without dots
	AppKey        // of a known service: the headers appname and appkey
	Cookie        // of a session in a browser: the cookie sid
)

// Credential is what a request says about who sends it.
type Credential struct {
	Kind  Kind
	Name  string // the app's, of an AppKey
	Value string // the token, key or session id: a secret
}

// sessionCookie carries the session of contract 001.
const sessionCookie = "sid"

// header returns the credential in an Authorization header: behind one of the schemes, or the whole header when it has none.
func header(schemes ...string) func(*http.Request) Credential {
	return func(r *http.Request) Credential {
		value := strings.TrimSpace(r.Header.Get("Authorization"))
		scheme, rest, found := strings.Cut(value, " ")
		known := slices.ContainsFunc(schemes, func(s string) bool { return strings.EqualFold(s, scheme) })
		if found || known {
			value = ""
		}
		if known {
			value = strings.TrimSpace(rest)
		}
		switch {
		case value == "":
			return Credential{}
		case strings.Count(value, ".") == 2: // RFC 7515 7.1: three parts
			return Credential{Kind: JWT, Value: value}
		}
		return Credential{Kind: APIToken, Value: value}
	}
}

// headerKeyOrCookie returns the credential in an Authorization header, else the key of an app, else the session of a browser.
func headerKeyOrCookie(schemes ...string) func(*http.Request) Credential {
	authorization := header(schemes...)
	return func(r *http.Request) Credential {
		if c := authorization(r); c.Kind != None {
			return c
		}
		if key := r.Header.Get("appkey"); key != "" {
			return Credential{Kind: AppKey, Name: r.Header.Get("appname"), Value: key}
		}
		if cookie, err := r.Cookie(sessionCookie); err == nil && cookie.Value != "" {
			return Credential{Kind: Cookie, Value: cookie.Value}
		}
		return Credential{}
	}
}

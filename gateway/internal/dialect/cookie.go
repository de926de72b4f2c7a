package dialect

import (
	"net/http"

	"google.golang.org/protobuf/proto"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"
)

// CookieOf returns the cookie that goes with an answer: that of a session in a browser that begins, or ends. It is nil for every other
// answer. Scripts cannot read it, and pages of other sites cannot make a browser send it along with anything but a link.
func CookieOf(answer proto.Message) *http.Cookie {
	//nolint:gosec // whether it is for TLS only the gateway knows, and sets
	cookie := &http.Cookie{Name: sessionCookie, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode}
	switch m := answer.(type) {
	case *authv1.OpenSessionResponse:
		cookie.Value, cookie.MaxAge = m.GetCookie(), int(m.GetMaxAge())
	case *authv1.CloseSessionResponse:
		cookie.MaxAge = -1
	default:
		return nil
	}
	return cookie
}

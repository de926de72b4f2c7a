package route

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// of returns a route; {n} stands for a number and {t} for a text.
func of(call string) *Route {
	method, pattern, _ := strings.Cut(call, " ")
	r := &Route{Method: method, Pattern: pattern}
	for _, segment := range segments(pattern) {
		switch segment {
		case "{n}":
			r.order = append(r.order, number)
		case "{t}":
			r.order = append(r.order, anyText)
		default:
			r.order = append(r.order, literal)
		}
	}
	return r
}

func TestWhatIsDeclaredLastMayHideOthers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		earlier, later string
		hidden         bool
	}{
		{"GET /users/{n}", "GET /users/find", false},
		{"GET /users/find", "GET /users/{n}", true},
		{"GET /users/find", "POST /users/{n}", false},
		{"GET /users/find", "GET /users/{n}/roles", false},
		{"GET /users/{n}/roles", "GET /users/{t}/hosts", false},
		{"GET /users/{n}/roles", "GET /users/{t}/roles", true},
		{"GET /users/{t}/roles", "GET /users/{n}/roles", false},
		{"GET /{t}/layout/{t}", "GET /{t}/{t}/port", true},
		{"GET /{t}/{t}/port", "GET /{t}/layout/{t}", false},
		{"GET /users/{n}", "GET /users/{n}", false},
	} {
		require.Equal(t, test.hidden, of(test.later).shadows(of(test.earlier)), "%+v", test)
	}
}

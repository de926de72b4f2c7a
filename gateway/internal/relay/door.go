package relay

import (
	"context"
	"net/http"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/fault"

	"github.com/opsdeck/opsdeck/gateway/internal/dialect"
	"github.com/opsdeck/opsdeck/gateway/internal/route"
)

// Exchanger knows whom the credentials belong to that do not say so themselves.
type Exchanger interface {
	// Exchange returns a JWT for a credential that is none. The client's address is in the rpc.Call of ctx. Its errors are
	// faults that a stranger may see.
	Exchange(ctx context.Context, c dialect.Credential) (jwt string, err error)
}

// Door refuses strangers. The service behind a call checks its token; where there is a body to be read first, so does the
// gateway: a stranger's would cost many times its size in memory.
type Door struct {
	Verifier    *authn.Verifier
	Exchanger   Exchanger                   // nil: only JWTs are known
	CrossOrigin *http.CrossOriginProtection // what browsers may send on their own accord
	TLS         bool                        // browsers come over TLS, and send cookies over nothing else
}

// invited refuses a call that changes something and that another site's page made a browser send: it comes with the cookie all the
// same. Every other credential is put into a request by somebody who has it.
func (d Door) invited(r *http.Request, c dialect.Credential) error {
	if c.Kind != dialect.Cookie {
		return nil
	}
	if err := d.CrossOrigin.Check(r); err != nil {
		return fault.Denied("CROSS_ORIGIN", "the call came from a page of another site").Chinese("该调用来自其他站点的页面").Wrap(err)
	}
	return nil
}

// admit returns the JWT to call with; "" for a stranger, who may only use what is public.
func (d Door) admit(ctx context.Context, r *route.Route, c dialect.Credential) (jwt string, err error) {
	switch {
	case r.Public && c.Kind != dialect.JWT:
		return "", nil
	case c.Kind == dialect.None:
		return "", fault.Unauthenticated("UNAUTHENTICATED", "permission denied: please log in")
	case c.Kind != dialect.JWT && d.Exchanger == nil:
		return "", fault.Unauthenticated("TOKEN_INVALID", "the token is not valid: please log in")
	case c.Kind != dialect.JWT:
		return d.Exchanger.Exchange(ctx, c)
	case r.Public, r.Body == "":
		return c.Value, nil
	}
	_, err = d.Verifier.Verify(ctx, c.Value)
	return c.Value, err
}

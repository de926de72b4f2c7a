package relay

import (
	"context"

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
	Verifier  *authn.Verifier
	Exchanger Exchanger // nil: only JWTs are known
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

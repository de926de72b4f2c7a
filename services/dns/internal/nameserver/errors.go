package nameserver

import (
	"errors"
	"fmt"
	"strings"

	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
)

// ErrZoneExists says that the server has a zone of this name already.
var ErrZoneExists = errors.New("the server has this zone already")

// ErrZoneUnknown says that the server has no zone of this name, or is not its primary.
var ErrZoneUnknown = errors.New("the server has no such zone, or is not its primary")

// Conflict says that a set on the server is not what the change was made from: somebody else changed it.
type Conflict struct {
	Key   rrset.Key
	Found *rrset.Set // what the server serves instead; nil: nothing
}

func (c *Conflict) Error() string {
	if c.Found == nil {
		return fmt.Sprintf("%s was changed on the server: it does not exist there", c.Key)
	}
	values := make([]string, len(c.Found.Records))
	for i, r := range c.Found.Records {
		values[i] = r.Value
	}
	return fmt.Sprintf("%s was changed on the server: it holds %s with TTL %d", c.Key, strings.Join(values, ", "), c.Found.TTL)
}

// Unreachable says that the server could not be asked or did not answer; the same call may succeed later.
type Unreachable struct {
	Server string // what was asked, for instance "http://127.0.0.1:8081" or "127.0.0.1:53"
	Doing  string // what was being done, for instance "read the zone example.org."
	Cause  error
}

func (u *Unreachable) Error() string {
	return fmt.Sprintf("%s did not answer, to %s: %v", u.Server, u.Doing, u.Cause)
}

func (u *Unreachable) Unwrap() error { return u.Cause }

// Refused says that the server answered and will not do it: wrong credentials, policy, or content that it rejects.
type Refused struct {
	Server string
	Doing  string
	Reason string // what the server said, and what an operator can do about it
}

func (r *Refused) Error() string {
	return fmt.Sprintf("%s refused to %s: %s", r.Server, r.Doing, r.Reason)
}

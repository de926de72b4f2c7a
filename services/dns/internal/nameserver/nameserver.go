// Package nameserver is what the domain needs of a name server, whatever its make.
package nameserver

import (
	"context"

	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
)

// Driver is one name server. Zones are named as in rrset: absolute, lower case, A-labels, trailing dot. A driver is safe for
// concurrent use and keeps no state of zones. The context bounds how long a call takes; reading or pushing a large zone takes seconds.
//
// Every method fails with *Unreachable when the server could not be asked or did not answer (try again later), and with *Refused
// when it answered that it will not (credentials, policy, content it rejects: trying again does not help).
type Driver interface {
	// Check reports whether the server can be reached with these credentials and is of a version that is supported.
	Check(ctx context.Context) error

	// CreateZone makes a zone with its first content, which includes the SOA and NS sets of the apex. A zone with exactly this content is
	// taken as made by an earlier call whose answer was lost. Errors: ErrZoneExists, when there is one with other content.
	CreateZone(ctx context.Context, zone string, sets []rrset.Set) error

	// DeleteZone removes a zone with all it holds. A zone that is not there is no error.
	DeleteZone(ctx context.Context, zone string) error

	// Serial returns the serial of the zone's SOA; found is false when the server has no such zone. It costs one small request.
	Serial(ctx context.Context, zone string) (serial uint32, found bool, err error)

	// Sets returns what the server serves for a few keys, in the order of keys; sets that do not exist are left out, and so are
	// disabled records. Its cost depends on the number of keys, not on the zone. Errors: ErrZoneUnknown.
	Sets(ctx context.Context, zone string, keys []rrset.Key) ([]rrset.Set, error)

	// Transfer calls yield for every set of the zone, in no promised order, holding a bounded part of it in memory. Sets of types
	// that are not rrset.Key.Managed are included. Disabled records are included where the server keeps them (KeepsDisabled). It
	// ends with the first error of yield. Errors: ErrZoneUnknown.
	Transfer(ctx context.Context, zone string, yield func(rrset.Set) error) error

	// Zones calls yield with the name of every zone that the server is primary for. It ends with the first error of yield.
	Zones(ctx context.Context, yield func(zone string) error) error

	// Apply makes all changes or none, and the zone's serial moves. What is served of every Before is a prerequisite: when the server serves
	// something else, the error is *Conflict and nothing has changed. When the server serves every After already, Apply returns nil without
	// changing anything: so a push whose answer was lost can be repeated, and its changes are made once.
	//
	// reshapes says that the changes may alter what a server derives from all names of the zone: which are empty but have names below them, and
	// which stand at or below a delegation. Without it a server that would look at the whole zone for that need not.
	//
	// Changes name different sets; those of one call are made as if at once. Each driver documents how it keeps this for changes that do
	// not fit into one message to its server, and what it cannot see. Errors: ErrZoneUnknown.
	Apply(ctx context.Context, zone string, reshapes bool, changes []rrset.Change) error

	// KeepsDisabled reports whether the server itself stores disabled records. If not, they are absent from Transfer, and Apply
	// writes the live part of each After.
	KeepsDisabled() bool
}

// Follower is a Driver whose server compares a zone's serial in the same step in which it makes changes.
type Follower interface {
	Driver

	// Follow is Apply for a caller who knows that the zone held what the changes are made from, and everything else that they were held against,
	// at the serial from: while the zone is there, nothing else is compared. It returns the serial at which the zone holds the changes. from and
	// to are 0 when they are not known: others changed the zone.
	Follow(ctx context.Context, zone string, from uint32, changes []rrset.Change) (to uint32, err error)
}

// Confirmer is a Driver whose server compares many sets at once.
type Confirmer interface {
	Driver

	// Holds reports whether the zone holds every After, TTLs and the serial aside: of so many changes, from the first on, as fit into one message.
	// Errors: ErrZoneUnknown.
	Holds(ctx context.Context, zone string, changes []rrset.Change) (bool, error)
}

package push

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"github.com/opsdeck/opsdeck/services/dns/internal/nameserver"
	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
	"github.com/opsdeck/opsdeck/services/dns/internal/zone"
)

// How many sets of a change the server is asked about after a push, spread over all. More would make the cost of a large change that of many small ones.
const (
	read      = 50  // are read
	confirmed = 500 // of a large change are confirmed, by a server that can do that at once,
	sampled   = 5   // and are read besides, for their TTLs
)

// tell makes a change on the server. One that an earlier try has made already is made again without effect. serial is the one at which the zone holds
// it and all before it; 0 when that is not known.
func tell(ctx context.Context, driver nameserver.Driver, c zone.Change) (serial uint32, err error) {
	switch c.Kind {
	case zone.Create, zone.Restore:
		return start(c.Sets), driver.CreateZone(ctx, c.Zone, after(c.Sets))
	case zone.Rename:
		if err := driver.CreateZone(ctx, c.NewZone, after(c.Sets)); err != nil {
			return 0, err
		}
		return start(c.Sets), driver.DeleteZone(ctx, c.Zone)
	case zone.Delete:
		return 0, driver.DeleteZone(ctx, c.Zone)
	}
	if follower, ok := driver.(nameserver.Follower); ok && c.Kind != zone.Correct {
		return follower.Follow(ctx, c.Zone, c.From, c.Sets)
	}
	return 0, driver.Apply(ctx, c.Zone, c.Reshapes, c.Sets)
}

// start returns the serial that a zone of these sets has first.
func start(changes []rrset.Change) uint32 {
	for _, c := range changes {
		if serial := c.After.Serial(); serial != 0 {
			return serial
		}
	}
	return 0
}

// after returns the sets that there are after changes.
func after(changes []rrset.Change) []rrset.Set {
	sets := make([]rrset.Set, 0, len(changes))
	for _, c := range changes {
		if c.After != nil {
			sets = append(sets, *c.After)
		}
	}
	return sets
}

// verify asks the server what it serves of a change, and returns what is not as it should be.
func verify(ctx context.Context, driver nameserver.Driver, c zone.Change) ([]zone.Drifted, error) {
	switch c.Kind {
	case zone.Delete:
		return nil, nil
	case zone.Rename:
		return differing(ctx, driver, c.NewZone, c.Sets)
	}
	return differing(ctx, driver, c.Zone, c.Sets)
}

// differing returns those of the changed sets that the server does not serve as they should be, of those that it is asked about.
func differing(ctx context.Context, driver nameserver.Driver, name string, changes []rrset.Change) ([]zone.Drifted, error) {
	confirmer, ok := driver.(nameserver.Confirmer)
	if !ok || len(changes) <= read {
		return compare(ctx, driver, name, spread(changes, read))
	}
	var holds bool
	var beside errgroup.Group
	beside.Go(func() (err error) {
		holds, err = confirmer.Holds(ctx, name, spread(changes, confirmed))
		return err
	})
	different, err := compare(ctx, driver, name, spread(changes, sampled))
	if err := errors.Join(err, beside.Wait()); err != nil || holds {
		return different, err
	}
	return compare(ctx, driver, name, spread(changes, read))
}

// compare reads sets, and returns those that are not as they should be.
func compare(ctx context.Context, driver nameserver.Driver, name string, changes []rrset.Change) ([]zone.Drifted, error) {
	keys := make([]rrset.Key, len(changes))
	for i, c := range changes {
		keys[i] = c.Key()
	}
	found, err := driver.Sets(ctx, name, keys)
	if err != nil {
		return nil, err
	}
	served := map[rrset.Key]*rrset.Set{}
	for i := range found {
		served[found[i].Key] = &found[i]
	}
	var different []zone.Drifted
	for i, c := range changes {
		if !c.After.Live().Equal(served[keys[i]]) {
			different = append(different, zone.Drifted{Key: keys[i], Wanted: c.After, Found: served[keys[i]]})
		}
	}
	return different, nil
}

// spread returns at most n changes that lie far apart.
func spread(changes []rrset.Change, n int) []rrset.Change {
	step := max(1, (len(changes)+n-1)/n)
	some := make([]rrset.Change, 0, n)
	for i := 0; i < len(changes); i += step {
		some = append(some, changes[i])
	}
	return some
}

package push

import (
	"context"

	"github.com/opsdeck/opsdeck/services/dns/internal/nameserver"
	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
	"github.com/opsdeck/opsdeck/services/dns/internal/zone"
)

// asked is how many sets of a change the server is asked for after a push. More would make the cost of a large change that of many small ones.
const asked = 50

// tell makes a change on the server. One that an earlier try has made already is made again without effect.
func tell(ctx context.Context, driver nameserver.Driver, c zone.Change) error {
	switch c.Kind {
	case zone.Create:
		return driver.CreateZone(ctx, c.Zone, after(c.Sets))
	case zone.Rename:
		if err := driver.CreateZone(ctx, c.NewZone, after(c.Sets)); err != nil {
			return err
		}
		return driver.DeleteZone(ctx, c.Zone)
	case zone.Delete:
		return driver.DeleteZone(ctx, c.Zone)
	}
	return driver.Apply(ctx, c.Zone, c.Reshapes, c.Sets)
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

// differing returns those of the changed sets that the server does not serve as they should be, of at most fifty spread over all.
func differing(ctx context.Context, driver nameserver.Driver, name string, changes []rrset.Change) ([]zone.Drifted, error) {
	step := max(1, (len(changes)+asked-1)/asked)
	wanted := map[rrset.Key]*rrset.Set{}
	var keys []rrset.Key
	for i := 0; i < len(changes); i += step {
		key := changes[i].Key()
		keys = append(keys, key)
		wanted[key] = changes[i].After
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
	for _, key := range keys {
		if !wanted[key].Live().Equal(served[key]) {
			different = append(different, zone.Drifted{Key: key, Wanted: wanted[key], Found: served[key]})
		}
	}
	return different, nil
}

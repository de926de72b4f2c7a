package nameserver_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/dns/internal/nameserver"
	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
)

func TestServerThatIsDown(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		ctx := t.Context()
		kept, later := set("kept."+zone, "A", 60, "192.0.2.1"), set("later."+zone, "A", 60, "192.0.2.2")
		require.NoError(t, r.CreateZone(ctx, zone, apex(zone)))
		require.NoError(t, r.Apply(ctx, zone, true, []rrset.Change{create(kept)}))
		require.NoError(t, r.server.Kill())
		var unreachable *nameserver.Unreachable
		for _, err := range []error{
			r.Check(ctx), r.Apply(ctx, zone, true, []rrset.Change{create(later)}), r.Apply(ctx, zone, true, []rrset.Change{remove(kept)}), r.DeleteZone(ctx, zone),
			r.CreateZone(ctx, "other.test.", apex("other.test.")), r.Transfer(ctx, zone, func(rrset.Set) error { return nil }), r.Zones(ctx, func(string) error { return nil }),
		} {
			require.ErrorAs(t, err, &unreachable)
		}
		_, _, err := r.Serial(ctx, zone)
		require.ErrorAs(t, err, &unreachable)

		require.NoError(t, r.server.Restart(ctx))
		requireContent(t, r, zone, append(apex(zone), kept)...)
		require.NoError(t, r.Apply(ctx, zone, true, []rrset.Change{create(later)}))
		requireContent(t, r, zone, append(apex(zone), kept, later)...)
	})
}

func TestCancelledCalls(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		require.NoError(t, r.CreateZone(t.Context(), zone, apex(zone)))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, r.Apply(ctx, zone, true, []rrset.Change{create(set("a."+zone, "A", 60, "192.0.2.1"))}), context.Canceled)
		require.ErrorIs(t, r.Transfer(ctx, zone, func(rrset.Set) error { return nil }), context.Canceled)
		requireContent(t, r, zone, apex(zone)...)
	})
}

// TestRace lets two change the same set at the same time, again and again: BIND lets exactly one of them win each time, and tells the other
// what it found.
func TestRace(t *testing.T) {
	t.Parallel()
	r := rigs["bind"](t)
	now := set("www."+zone, "A", 60, "192.0.2.0")
	require.NoError(t, r.CreateZone(t.Context(), zone, append(apex(zone), now)))
	for round := range 20 {
		wanted := [2]rrset.Set{set(now.Name, "A", 60, fmt.Sprintf("192.0.2.%d", 10+2*round)), set(now.Name, "A", uint32(61+round), fmt.Sprintf("192.0.2.%d", 11+2*round))}
		if round%2 == 1 {
			wanted[1].Records = now.Records // only the TTL, which prerequisites do not compare
		}
		var errs [2]error
		var both sync.WaitGroup
		for i := range wanted {
			both.Go(func() { errs[i] = r.Apply(t.Context(), zone, true, []rrset.Change{replace(now, wanted[i])}) })
		}
		both.Wait()
		winner := 0
		if errs[0] != nil {
			winner = 1
		}
		require.NoError(t, errs[winner])
		var conflict *nameserver.Conflict
		require.ErrorAs(t, errs[1-winner], &conflict)
		require.True(t, wanted[winner].Equal(conflict.Found), "want %v, found %v", wanted[winner], conflict.Found)
		now = wanted[winner]
		require.True(t, now.Equal(dig(t, r.addr, now.Key)))
	}
}

// TestBusyZone changes a set while somebody else changes others all the time.
func TestBusyZone(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		require.NoError(t, r.CreateZone(ctx, zone, apex(zone)))
		var other sync.WaitGroup
		other.Go(func() {
			s := set("busy."+zone, "A", 60, "192.0.2.1")
			for ctx.Err() == nil {
				_ = r.Apply(ctx, zone, true, []rrset.Change{create(s)}) // whether it goes through is not what this is about
				_ = r.Apply(ctx, zone, true, []rrset.Change{remove(s)})
			}
		})
		now := set("www."+zone, "A", 60, "192.0.2.1")
		again(t, func() error { return r.Apply(ctx, zone, true, []rrset.Change{create(now)}) })
		for ttl := range uint32(10) {
			next := set(now.Name, "A", 100+ttl, "192.0.2.1")
			again(t, func() error { return r.Apply(ctx, zone, true, []rrset.Change{replace(now, next)}) })
			now = next
		}
		cancel()
		other.Wait()
		require.True(t, now.Equal(dig(t, r.addr, now.Key)))
	})
}

// again repeats a push that the server was too busy for: others changed the zone all the time, or had its database locked.
func again(t *testing.T, push func() error) {
	t.Helper()
	err := push()
	for unreachable := (*nameserver.Unreachable)(nil); errors.As(err, &unreachable); err = push() {
	}
	require.NoError(t, err)
}

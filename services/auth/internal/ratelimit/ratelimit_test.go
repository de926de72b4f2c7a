package ratelimit

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/opsdeck/opsdeck/pkg/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAllow(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	l := New("logins", 3, func() time.Time { return now })
	one, two := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	for range 3 {
		require.NoError(t, l.Allow(one))
	}
	err := l.Allow(one)
	require.True(t, fault.Is(err, "RATE_LIMITED"), "%v", err)
	require.EqualError(t, err, "too many logins from your address: try again in 20 s")
	require.NoError(t, l.Allow(two), "another address has its own count")

	now = now.Add(19 * time.Second)
	require.Error(t, l.Allow(one))
	now = now.Add(time.Second)
	require.NoError(t, l.Allow(one))
	require.Error(t, l.Allow(one))
}

func TestASubscriberIsOneAddress(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	for name, c := range map[string]struct {
		first, second string
		shared        bool
	}{
		"one /64":       {"2001:db8::1", "2001:db8::ffff:1", true},
		"two /64":       {"2001:db8::1", "2001:db8:0:1::1", false},
		"zones":         {"fe80::1%eth0", "fe80::1%eth1", true},
		"IPv4":          {"192.0.2.1", "192.0.2.2", false},
		"IPv4 and IPv6": {"192.0.2.1", "2001:db8::1", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := New("logins", 1, func() time.Time { return now })
			require.NoError(t, l.Allow(netip.MustParseAddr(c.first)))
			require.Equal(t, c.shared, l.Allow(netip.MustParseAddr(c.second)) != nil)
		})
	}
}

func TestUnknownAddressesShareACount(t *testing.T) {
	t.Parallel()
	l := New("logins", 1, time.Now)
	require.NoError(t, l.Allow(netip.Addr{}))
	require.Error(t, l.Allow(netip.Addr{}))
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	l := New("logins", 1, func() time.Time { return now })
	busy := netip.MustParseAddr("192.0.2.1")
	require.NoError(t, l.Allow(busy))
	for i := range uint32(2 * maxAddresses) {
		require.NoError(t, l.Allow(netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, 10<<24|i)))))
		require.Error(t, l.Allow(busy), "who keeps trying is not forgotten")
	}
	require.Len(t, l.buckets, maxAddresses)
	require.Equal(t, maxAddresses, l.recent.Len())
}

package token

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"
)

func TestLimitsOf(t *testing.T) {
	t.Parallel()
	until := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	l, err := limitsOf(&authv1.CreateTokenRequest{
		ReadOnly: true, Scopes: []string{"replication", "dns"}, ExpireTime: timestamppb.New(until),
		AllowedNetworks: []string{"10.1.2.3/8", "192.0.2.7", "::ffff:192.0.2.8", "2001:db8::1/64"},
	})
	require.NoError(t, err)
	require.Equal(t, []string{"dns", "replication"}, l.Scopes)
	require.Equal(t, []string{"10.0.0.0/8", "192.0.2.7/32", "192.0.2.8/32", "2001:db8::/64"}, l.networks())
	require.Equal(t, "read only; modules dns, replication; from 10.0.0.0/8, 192.0.2.7/32, 192.0.2.8/32, 2001:db8::/64; until 2030-01-02T03:04:05Z", l.words())

	l, err = limitsOf(&authv1.CreateTokenRequest{})
	require.NoError(t, err)
	require.Equal(t, "without limits", l.words())

	for _, wrong := range []*authv1.CreateTokenRequest{
		{Scopes: []string{"dsn"}},
		{AllowedNetworks: []string{"10.1.2"}},
		{AllowedNetworks: []string{"10.0.0.0/33"}},
		{AllowedNetworks: []string{"fe80::1%eth0"}},
		{AllowedNetworks: []string{"::ffff:10.0.0.0/104"}},
	} {
		_, err := limitsOf(wrong)
		require.Error(t, err, wrong)
	}
}

func TestWithin(t *testing.T) {
	t.Parallel()
	networks := func(texts ...string) limits {
		var l limits
		for _, text := range texts {
			l.Networks = append(l.Networks, netip.MustParsePrefix(text))
		}
		return l
	}
	at := func(hour int) limits {
		expires := time.Date(2030, 1, 1, hour, 0, 0, 0, time.UTC)
		return limits{Expires: &expires}
	}
	for name, test := range map[string]struct {
		new, old limits
		want     bool
	}{
		"nothing within nothing":          {limits{}, limits{}, true},
		"anything within nothing":         {limits{ReadOnly: true, Scopes: []string{"dns"}}, limits{}, true},
		"writing within reading":          {limits{}, limits{ReadOnly: true}, false},
		"reading within reading":          {limits{ReadOnly: true}, limits{ReadOnly: true}, true},
		"every module within one":         {limits{}, limits{Scopes: []string{"auth"}}, false},
		"another module":                  {limits{Scopes: []string{"auth", "dns"}}, limits{Scopes: []string{"auth"}}, false},
		"one module of two":               {limits{Scopes: []string{"dns"}}, limits{Scopes: []string{"auth", "dns"}}, true},
		"for ever within an hour":         {limits{}, at(1), false},
		"longer":                          {at(2), at(1), false},
		"as long":                         {at(1), at(1), true},
		"from anywhere within a network":  {limits{}, networks("10.0.0.0/8"), false},
		"a larger network":                {networks("10.0.0.0/7"), networks("10.0.0.0/8"), false},
		"a smaller network":               {networks("10.1.0.0/16"), networks("192.0.2.0/24", "10.0.0.0/8"), true},
		"a network inside and one not":    {networks("10.1.0.0/16", "11.0.0.0/8"), networks("10.0.0.0/8"), false},
		"an IPv6 network in an IPv4 one":  {networks("::/0"), networks("0.0.0.0/0"), false},
		"the same network as the old one": {networks("10.0.0.0/8"), networks("10.0.0.0/8"), true},
	} {
		require.Equal(t, test.want, test.new.within(test.old), name)
	}
}

// FuzzNetwork proves that what is stored as a network has nothing behind its prefix, as PostgreSQL's type cidr wants it.
func FuzzNetwork(f *testing.F) {
	f.Add("10.1.2.3/8")
	f.Add("::1")
	f.Add("::ffff:1.2.3.4/100")
	f.Fuzz(func(t *testing.T, text string) {
		network, err := networkOf(text)
		if err != nil {
			return
		}
		require.True(t, network.IsValid())
		require.Equal(t, network.Masked(), network)
		require.False(t, network.Addr().Is4In6())
	})
}

package token

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/opsdeck/opsdeck/pkg/access"
	"github.com/opsdeck/opsdeck/pkg/fault"
)

// limits are what a token is not good for although its user may do it. They do not change.
type limits struct {
	ReadOnly bool           `db:"read_only"`
	Scopes   []string       `db:"scopes"`     // modules; none: all
	Networks []netip.Prefix `db:"networks"`   // none: from anywhere
	Expires  *time.Time     `db:"expires_at"` // nil: never
}

// asked are limits as a request has them.
type asked interface {
	GetReadOnly() bool
	GetScopes() []string
	GetAllowedNetworks() []string
	GetExpireTime() *timestamppb.Timestamp
}

// limitsOf reads the limits that a request asks for. Errors: MODULE_UNKNOWN, an invalid network.
func limitsOf(r asked) (limits, error) {
	l := limits{ReadOnly: r.GetReadOnly(), Scopes: slices.Sorted(slices.Values(r.GetScopes())), Networks: []netip.Prefix{}}
	for _, scope := range l.Scopes {
		if !slices.Contains(access.Modules(), scope) {
			return l, fault.Invalid("scopes", "there is no module %s, only %s", scope, strings.Join(access.Modules(), ", ")).
				Chinese("没有模块 %s，只有 %s", scope, strings.Join(access.Modules(), "、"))
		}
	}
	for _, text := range r.GetAllowedNetworks() {
		network, err := networkOf(text)
		if err != nil {
			return l, fault.Invalid("allowed_networks", "%s is no network, want one like 10.1.0.0/16 or an address", text).Wrap(err).
				Chinese("%s 不是网段，应形如 10.1.0.0/16 或为一个地址", text)
		}
		l.Networks = append(l.Networks, network)
	}
	if r.GetExpireTime() != nil {
		expires := r.GetExpireTime().AsTime().Truncate(time.Microsecond) // as it is stored
		l.Expires = &expires
	}
	return l, nil
}

// networkOf reads a network, or an address as the network that has only it.
func networkOf(text string) (netip.Prefix, error) {
	if address, err := netip.ParseAddr(text); err == nil {
		if address.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf("%s has a zone", text)
		}
		address = address.Unmap()
		return netip.PrefixFrom(address, address.BitLen()), nil
	}
	network, err := netip.ParsePrefix(text)
	if err == nil && network.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("%s mixes IPv4 and IPv6", text)
	}
	return network.Masked(), err
}

// within reports whether everything that the limits leave is left by others too.
func (l limits) within(others limits) bool {
	switch {
	case others.ReadOnly && !l.ReadOnly:
		return false
	case others.Expires != nil && (l.Expires == nil || l.Expires.After(*others.Expires)):
		return false
	case len(others.Scopes) > 0 && (len(l.Scopes) == 0 || slices.ContainsFunc(l.Scopes, func(scope string) bool { return !slices.Contains(others.Scopes, scope) })):
		return false
	}
	inside := func(network netip.Prefix) bool {
		return slices.ContainsFunc(others.Networks, func(o netip.Prefix) bool { return o.Bits() <= network.Bits() && o.Contains(network.Addr()) })
	}
	return len(others.Networks) == 0 ||
		len(l.Networks) > 0 && !slices.ContainsFunc(l.Networks, func(network netip.Prefix) bool { return !inside(network) })
}

// words tells the limits to people.
func (l limits) words() string {
	var all []string
	if l.ReadOnly {
		all = append(all, "read only")
	}
	if len(l.Scopes) > 0 {
		all = append(all, "modules "+strings.Join(l.Scopes, ", "))
	}
	if len(l.Networks) > 0 {
		all = append(all, "from "+strings.Join(l.networks(), ", "))
	}
	if l.Expires != nil {
		all = append(all, "until "+l.Expires.UTC().Format(time.RFC3339))
	}
	if len(all) == 0 {
		return "without limits"
	}
	return strings.Join(all, "; ")
}

func (l limits) networks() []string {
	texts := make([]string, len(l.Networks))
	for i, network := range l.Networks {
		texts[i] = network.String()
	}
	return texts
}

func (l limits) expireTime() *timestamppb.Timestamp { return timestampOf(l.Expires) }

func timestampOf(t *time.Time) *timestamppb.Timestamp {
	if t == nil {
		return nil
	}
	return timestamppb.New(*t)
}

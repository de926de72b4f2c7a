package nameserver_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/dns/internal/nameserver"
	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
)

// script is a server that makes parts until one fails.
type script struct {
	made []rrset.Change
	fail map[string]error // by the name of the first change, "undo " in front for the inverse
}

func (s *script) apply(_ context.Context, part []rrset.Change) error {
	name := part[0].Key().Name
	if part[0].After == nil {
		name = "undo " + name
	}
	if err := s.fail[name]; err != nil {
		return err
	}
	s.made = append(s.made, part...)
	return nil
}

func TestPush(t *testing.T) {
	t.Parallel()
	a, b, c := create(set("a."+zone, "A", 1, "192.0.2.1")), create(set("b."+zone, "A", 1, "192.0.2.1")), create(set("c."+zone, "A", 1, "192.0.2.1"))
	parts := [][]rrset.Change{{a}, {b}, {c}}
	conflict, unreachable := &nameserver.Conflict{Key: c.Key()}, &nameserver.Unreachable{Cause: errors.New("gone")}
	for name, test := range map[string]struct {
		fail    map[string]error
		made    []rrset.Change
		want    error
		partial bool
	}{
		"good":                 {nil, []rrset.Change{a, b, c}, nil, false},
		"first in conflict":    {map[string]error{"a." + zone: conflict}, nil, conflict, false},
		"last in conflict":     {map[string]error{"c." + zone: conflict}, []rrset.Change{a, b, b.Inverse(), a.Inverse()}, conflict, false},
		"server gone":          {map[string]error{"c." + zone: unreachable}, []rrset.Change{a, b}, unreachable, false},
		"undoing fails":        {map[string]error{"c." + zone: conflict, "undo a." + zone: unreachable}, []rrset.Change{a, b, b.Inverse()}, conflict, true},
		"undoing fails, cause": {map[string]error{"c." + zone: conflict, "undo b." + zone: unreachable}, []rrset.Change{a, b}, unreachable, true},
	} {
		s := script{fail: test.fail}
		err := nameserver.Push(t.Context(), parts, s.apply)
		require.Equal(t, test.made, s.made, name)
		require.ErrorIs(t, err, test.want, name)
		var partial *nameserver.Partial
		require.Equal(t, test.partial, errors.As(err, &partial), name)
	}
}

func TestSplit(t *testing.T) {
	t.Parallel()
	var changes []rrset.Change
	for i := range 10 {
		for _, typ := range []string{"TXT", "A"} {
			changes = append(changes, create(set(fmt.Sprintf("n%d.%s", 9-i, zone), typ, 1, "x")))
		}
	}
	sizes := func(limit int) (all []int) {
		names := map[string]int{}
		for i, part := range nameserver.Split(changes, func(rrset.Change) int { return 10 }, limit) {
			all = append(all, len(part))
			for _, c := range part {
				if seen, ok := names[c.Key().Name]; ok {
					require.Equal(t, seen, i, "a name in two parts")
				}
				names[c.Key().Name] = i
			}
		}
		require.Len(t, names, 10)
		return all
	}
	require.Equal(t, []int{20}, sizes(200))
	require.Equal(t, []int{8, 8, 4}, sizes(99))
	require.Equal(t, []int{2, 2, 2, 2, 2, 2, 2, 2, 2, 2}, sizes(5))
	require.Equal(t, []int{18, 2}, sizes(199))
}

func TestJudge(t *testing.T) {
	t.Parallel()
	a, b, c := set("a."+zone, "A", 1, "192.0.2.1"), set("a."+zone, "A", 1, "192.0.2.2"), set("a."+zone, "A", 2, "192.0.2.2")
	other := set("b."+zone, "A", 1, "192.0.2.1")
	off := set("a."+zone, "A", 1, "192.0.2.1")
	off.Records[0].Disabled = true
	found := func(sets ...rrset.Set) map[rrset.Key]*rrset.Set {
		all := map[rrset.Key]*rrset.Set{}
		for _, s := range sets {
			all[s.Key] = &s
		}
		return all
	}
	for name, test := range map[string]struct {
		changes []rrset.Change
		found   map[rrset.Key]*rrset.Set
		done    bool
		found2  *rrset.Set // of the conflict, when conflict
		fails   bool
	}{
		"to do":               {[]rrset.Change{replace(a, b), create(other)}, found(a), false, nil, false},
		"done":                {[]rrset.Change{replace(a, b), create(other)}, found(b, other), true, nil, false},
		"half":                {[]rrset.Change{replace(a, b), create(other)}, found(b), false, &b, true},
		"another TTL":         {[]rrset.Change{replace(a, b)}, found(c), false, &c, true},
		"gone":                {[]rrset.Change{replace(a, b)}, found(), false, nil, true},
		"deleted already":     {[]rrset.Change{remove(a)}, found(), true, nil, false},
		"disabled is nothing": {[]rrset.Change{replace(off, a)}, found(), false, nil, false},
		"to disable":          {[]rrset.Change{replace(a, off)}, found(a), false, nil, false},
		"disabled already":    {[]rrset.Change{replace(a, off)}, found(), true, nil, false},
	} {
		done, err := nameserver.Judge(test.changes, test.found)
		require.Equal(t, test.done, done, name)
		var conflict *nameserver.Conflict
		require.Equal(t, test.fails, errors.As(err, &conflict), name)
		if test.fails {
			require.True(t, test.found2.Equal(conflict.Found), name)
		}
	}
}

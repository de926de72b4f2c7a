package tunnel

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func pair(t *testing.T) (*sealer, *opener) {
	t.Helper()
	route, salt := newRoute(), newSalt()
	seal, err := newSealer(route, "up", salt)
	require.NoError(t, err)
	open, err := newOpener(route, "up", salt)
	require.NoError(t, err)
	return seal, open
}

func TestFramesAreTakenInOrderAndUnchangedOnly(t *testing.T) {
	t.Parallel()
	ping := frame{kind: kindPing}
	for name, spoil := range map[string]func(first, second []byte) []byte{
		"lost":     func(_, second []byte) []byte { return second },
		"cut":      func(first, _ []byte) []byte { return first[:len(first)-1] },
		"changed":  func(first, _ []byte) []byte { first[len(first)-1] ^= 1; return first },
		"number":   func(_, second []byte) []byte { second[7] = 0; return second },
		"no bytes": func(_, _ []byte) []byte { return nil },
	} {
		seal, open := pair(t)
		_, err := open.open(spoil(seal.seal(ping), seal.seal(ping)))
		require.Error(t, err, name)
	}
	seal, open := pair(t)
	first := seal.seal(ping)
	_, err := open.open(first)
	require.NoError(t, err)
	_, err = open.open(first)
	require.ErrorContains(t, err, "repeated")
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	bomb := packer.EncodeAll(make([]byte, 64<<20), nil)
	for name, plain := range map[string][]byte{
		"empty": {}, "unknown kind": {99}, "no data": {kindData}, "ping with a body": {kindPing, 1}, "short credit": {kindCredit, 1},
		"long data":   append([]byte{kindData}, make([]byte, maxChunk+1)...),
		"long reason": append([]byte{kindClose}, make([]byte, maxReason+1)...),
		"not packed":  {kindPacked, 1, 2, 3},
		"bomb":        append([]byte{kindPacked}, bomb...),
	} {
		_, err := parse(plain)
		require.Error(t, err, name)
	}
}

func FuzzParse(f *testing.F) {
	packed := data(bytes.Repeat([]byte("row"), 1000))
	f.Add(append([]byte{packed.kind}, packed.body...))
	f.Add([]byte{kindCredit, 0, 0, 16, 0})
	f.Add([]byte{kindClose, 'n', 'o'})
	f.Fuzz(func(t *testing.T, plain []byte) {
		got, err := parse(plain)
		if err != nil {
			return
		}
		require.NotEqual(t, kindPacked, got.kind)
		require.LessOrEqual(t, len(got.body), maxChunk)
	})
}

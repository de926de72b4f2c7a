package rndc

import (
	"testing"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/dns/internal/keyfile"
)

var key = keyfile.Key{Name: "k.", Algorithm: dns.HmacSHA512, Secret: []byte("0123456789abcdef")}

func TestSealedIsOpened(t *testing.T) {
	t.Parallel()
	message := seal(key, appendTable(nil, "_data", []field{{"text", "zone"}}))
	got, err := open(key, message[8:])
	require.NoError(t, err)
	require.Equal(t, "zone", got.text("_data", "text"))
	require.Empty(t, got.text("_data", "none"))
	require.Empty(t, got.text("none", "none"))
	for i := range message[8:] {
		changed := append([]byte(nil), message[8:]...)
		changed[i] ^= 1
		// The algorithm and the padding are not part of what is compared with a changed meaning; everything else is.
		if text, err := open(key, changed); err == nil {
			require.Equal(t, got, text)
		}
	}
	other := key
	other.Algorithm = dns.HmacSHA256
	_, err = open(other, message[8:])
	require.Error(t, err)
}

func FuzzOpen(f *testing.F) {
	f.Add(seal(key, appendTable(nil, "_ctrl", []field{{"_ser", "1"}}))[8:])
	f.Add([]byte{5, '_', 'a', 'u', 't', 'h', 2, 0, 0, 0, 0})
	f.Add([]byte{1, 'a', 2, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, message []byte) {
		_, _ = open(key, message) // must not panic
		if got, err := decode(message, 0); err == nil {
			_ = got.text("_data", "text")
		}
	})
}

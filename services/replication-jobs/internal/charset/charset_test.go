package charset_test

import (
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/charset"
)

func TestDecode(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, bytes, want string }{
		{"utf8mb4", "e4b8ade69687f09f9880", "中文😀"},
		{"utf8mb3", "c3a4", "ä"},
		{"ascii", "6162", "ab"},
		{"latin1", "e9e880", "éè€"},
		{"latin1", "81", "\u0081"},
		{"cp1251", "cff0e8", "При"},
		{"koi8r", "d0d2c9", "при"},
		{"gbk", "d6d0cec4", "中文"},
		{"gb18030", "d6d0", "中"},
		{"big5", "a4a4", "中"},
		{"sjis", "8358835c", "スソ"},
		{"ujis", "c6fccbdc", "日本"},
		{"euckr", "c7d1", "한"},
		{"ucs2", "4e2d", "中"},
		{"utf16", "d83dde00", "😀"},
		{"utf16le", "2d4e", "中"},
		{"utf32", "0001f600", "😀"},
	} {
		decode, err := charset.Of(tc.name)
		require.NoError(t, err)
		text, err := hex.DecodeString(tc.bytes)
		require.NoError(t, err)
		got, err := decode([]byte("<"), text)
		require.NoError(t, err)
		require.Equal(t, "<"+tc.want, string(got), tc.name)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	_, err := charset.Of("swe7")
	require.ErrorContains(t, err, "swe7 is not supported")
	decode, err := charset.Of("utf8mb4")
	require.NoError(t, err)
	_, err = decode(nil, []byte{0xff})
	require.ErrorContains(t, err, "no text of the column's character set")
	decode, err = charset.Of("gbk")
	require.NoError(t, err)
	_, err = decode(nil, []byte{0xff, 0xff})
	require.ErrorContains(t, err, "no text of the column's character set")
}

package bearer

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSecrets(t *testing.T) {
	t.Parallel()
	for kind, prefix := range prefixes {
		one, two := New(kind), New(kind)
		require.NotEqual(t, one, two)
		require.Regexp(t, "^"+prefix+"[0-9a-f]{40}$", one)
		require.True(t, Valid(kind, one))
		for other := range prefixes {
			require.Equal(t, other == kind, Valid(other, one), "%s as %s", kind, other)
		}
	}
}

func TestWhatIsNoSecret(t *testing.T) {
	t.Parallel()
	good := New(APIToken)
	last := byte('0')
	if good[20] == last {
		last = '1'
	}
	for name, text := range map[string]string{
		"empty": "", "prefix": "opd_", "mistyped": good[:20] + string(last) + good[21:], "short": good[:len(good)-1], "long": good + "0",
		"upper case": strings.ToUpper(good), "no prefix": good[4:], "documented example": "9944b09199c62bcf9418ad846dd0e4bbdfc6ee4b",
		"blank": " " + good[1:], "masked": Mask(good),
	} {
		require.False(t, Valid(APIToken, text), name)
	}
}

func TestMask(t *testing.T) {
	t.Parallel()
	value := New(AppKey)
	masked := Mask(value)
	require.Len(t, masked, len(value))
	require.Equal(t, "opk_"+strings.Repeat("*", 36)+value[len(value)-4:], masked)
}

func TestRefreshTokens(t *testing.T) {
	t.Parallel()
	session, turn := New(Refresh), NewTurn()
	gotSession, gotTurn, ok := Split(Join(session, turn))
	require.True(t, ok)
	require.Equal(t, session, gotSession)
	require.Equal(t, turn, gotTurn)
	for _, text := range []string{"", session, session + "_", turn, Join(New(Cookie), turn), Join(session, turn[1:]), Join(session, "z"+turn[1:]), session + turn} {
		_, _, ok := Split(text)
		require.False(t, ok, text)
	}
}

func FuzzValid(f *testing.F) {
	f.Add(New(APIToken))
	f.Add("opd_" + strings.Repeat("0", 40))
	f.Add("Bearer x")
	f.Fuzz(func(t *testing.T, text string) {
		valid := 0
		for kind := range prefixes {
			if Valid(kind, text) {
				valid++
				require.Len(t, text, 44)
				require.Len(t, Mask(text), 44)
			}
		}
		require.LessOrEqual(t, valid, 1, "a secret is of one kind")
	})
}

func FuzzSplit(f *testing.F) {
	f.Add(Join(New(Refresh), NewTurn()))
	f.Add("opr__")
	f.Fuzz(func(t *testing.T, text string) {
		session, turn, ok := Split(text)
		if ok {
			require.Equal(t, text, Join(session, turn))
			require.True(t, Valid(Refresh, session))
		}
	})
}

package password

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/pkg/fault"
)

func TestPolicyNamesTheRule(t *testing.T) {
	t.Parallel()
	p := Policy{MinLength: 8, MinClasses: 3}
	require.NoError(t, p.Validate())
	for password, rule := range map[string]string{
		"Abc123!":       "min_length",
		"abcdefgh":      "min_classes",
		"ABCDEFG1":      "min_classes",
		"Abcdefg1":      "",
		"abcdef1@":      "",
		"ABCDE1@#":      "",
		"ÄbcdefG7":      "",
		"密码密码密码密码":      "min_classes",
		"密码密码密码aB":      "",
		"correct Horse": "",
	} {
		err := p.Check("pass_word", password)
		if rule == "" {
			require.NoError(t, err, password)
			continue
		}
		require.True(t, fault.Is(err, "PASSWORD_WEAK"), "%s: %v", password, err)
		require.Equal(t, rule, fault.From(err).Meta["rule"], password)
		require.ErrorContains(t, err, "pass_word: must have at least")
		require.NotContains(t, err.Error(), password)
	}
}

func TestPolicyIsChecked(t *testing.T) {
	t.Parallel()
	for _, p := range []Policy{{0, 3}, {129, 3}, {8, 0}, {8, 5}} {
		require.Error(t, p.Validate(), "%+v", p)
	}
}

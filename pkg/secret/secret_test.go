package secret

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func key(fill byte) string {
	return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{fill}, keySize))
}

func keyFile(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sealing.key")
	require.NoError(t, os.WriteFile(path, []byte(text), mode))
	return path
}

func TestGenerateSealOpen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "sealing.key")
	require.NoError(t, Generate(path))
	require.ErrorIs(t, Generate(path), os.ErrExist)
	s, err := Load(path)
	require.NoError(t, err)

	for _, plaintext := range []string{"", "s3cret", string(make([]byte, 1<<16))} {
		sealed, err := s.Seal([]byte(plaintext), "replication.job/1/src")
		require.NoError(t, err)
		if plaintext != "" {
			require.NotContains(t, string(sealed), plaintext)
		}
		opened, err := s.Open(sealed, "replication.job/1/src")
		require.NoError(t, err)
		require.Equal(t, plaintext, string(opened))
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	s, err := parse(key(1))
	require.NoError(t, err)
	other, err := parse(key(2))
	require.NoError(t, err)
	sealed, err := s.Seal([]byte("s3cret"), "a")
	require.NoError(t, err)
	damaged := bytes.Clone(sealed)
	damaged[len(damaged)-1] ^= 1

	for name, try := range map[string]struct {
		sealer  *Sealer
		sealed  []byte
		context string
		want    string
	}{
		"another context": {s, sealed, "b", "another place"},
		"another key":     {other, sealed, "a", "not in the key file"},
		"damaged":         {s, damaged, "a", "damaged"},
		"cut short":       {s, sealed[:8], "a", "cut short"},
		"empty":           {s, nil, "a", "not a sealed value"},
		"plaintext":       {s, []byte("s3cret"), "a", "not a sealed value"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := try.sealer.Open(try.sealed, try.context)
			require.ErrorIs(t, err, ErrSealed)
			require.ErrorContains(t, err, try.want)
		})
	}
}

func TestKeysRotate(t *testing.T) {
	t.Parallel()
	before, err := Load(keyFile(t, key(1)+"\n", 0o600))
	require.NoError(t, err)
	sealed, err := before.Seal([]byte("s3cret"), "a")
	require.NoError(t, err)

	after, err := Load(keyFile(t, "# rotated\n"+key(2)+"\n\n"+key(1)+"\n", 0o600))
	require.NoError(t, err)
	opened, err := after.Open(sealed, "a")
	require.NoError(t, err)
	require.Equal(t, "s3cret", string(opened))

	again, err := after.Seal(opened, "a")
	require.NoError(t, err)
	_, err = before.Open(again, "a")
	require.ErrorIs(t, err, ErrSealed)
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	for name, try := range map[string]struct {
		text string
		mode os.FileMode
		want string
	}{
		"readable by others": {key(1), 0o640, "mode 0640"},
		"empty":              {"# none\n", 0o600, "holds no key"},
		"short key":          {"c2hvcnQ=", 0o600, "line 1 is not a key"},
		"not base64":         {key(1) + "\n!!!", 0o600, "line 2 is not a key"},
		"twice":              {key(1) + "\n" + key(1), 0o600, "listed twice"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Load(keyFile(t, try.text, try.mode))
			require.ErrorContains(t, err, try.want)
		})
	}
	_, err := Load(filepath.Join(t.TempDir(), "absent"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestTextHides(t *testing.T) {
	t.Parallel()
	text := Text("s3cret")
	require.Equal(t, "s3cret", text.Reveal())
	js, err := json.Marshal(map[string]any{"password": text, "nested": []Text{text}})
	require.NoError(t, err)

	var log bytes.Buffer
	core := zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(&log), zap.DebugLevel)
	zap.New(core).Info("hidden", zap.Any("any", text), zap.Stringer("stringer", text), zap.Reflect("reflect", struct{ P Text }{text}))

	for _, shown := range []string{
		fmt.Sprintf("%v %+v %#v %s %q %x %d", text, text, text, text, text, text, text),
		fmt.Sprintf("%+v", struct{ Password Text }{text}), string(js), log.String(),
	} {
		require.NotContains(t, shown, "s3cret")
		require.NotContains(t, shown, fmt.Sprintf("%x", "s3cret"))
		require.Contains(t, shown, "*")
	}
}

func FuzzOpen(f *testing.F) {
	s, err := parse(key(1))
	require.NoError(f, err)
	sealed, err := s.Seal([]byte("s3cret"), "a")
	require.NoError(f, err)
	f.Add(sealed)
	f.Add([]byte{format, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		if opened, err := s.Open(data, "a"); err == nil {
			require.Equal(t, "s3cret", string(opened))
		}
	})
}

package e2e

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/pkg/apitest"
)

// stage is a server that can do what the documents do: it has an RSA key, a source with the documented tables, and a node.
type stage struct {
	*opsdeck
	*pair

	key    *rsa.PrivateKey
	broker string            // of a Kafka cluster
	values *strings.Replacer // from the documents' values to those of this stage, in JSON
}

func newStage(t *testing.T) *stage {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "rsa.pem")
	require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))

	s := &stage{key: key, broker: startKafka(t), pair: newPair(t)}
	dir := scratch(t)
	s.opsdeck = prepareOpsdeck(t, dir, "OPSDECK_AUTH_RSA_PRIVATE_KEY="+path, "OPSDECK_REPLICATION_RSA_PRIVATE_KEY="+path)
	t.Cleanup(func() {
		s.out.showOnFailure(t, "opsdeck")
		require.NoError(t, s.end())
	})
	s.start(t)
	s.token = s.signIn(t, "platform", "admin", s.encrypt(t, s.password))
	s.source.exec(t,
		"CREATE DATABASE db1", "CREATE TABLE db1.tb1 (id INT PRIMARY KEY, c_bit_1 BIT(1))",
		"CREATE DATABASE dbtest", "CREATE VIEW dbtest.seen AS SELECT id FROM db1.tb1", "CREATE DATABASE test",
		"CREATE DATABASE demo", "CREATE TABLE demo.demo_tbl (id INT PRIMARY KEY)", "INSERT INTO demo.demo_tbl VALUES (1), (2)")
	s.target.exec(t, "CREATE DATABASE demo", "CREATE TABLE demo.demo_tbl (id INT PRIMARY KEY)", "INSERT INTO demo.demo_tbl VALUES (1), (2)")
	node := s.node(t)
	s.values = strings.NewReplacer(
		"10.186.63.18:9092", s.broker, "10.186.63.18", "127.0.0.1", "33061", fmt.Sprint(s.source.Port()), "33062", fmt.Sprint(s.target.Port()),
		"10.186.63.28", "127.0.0.1",
		`3307,"mysql_user":"test"`, fmt.Sprintf(`%d,"mysql_user":%q`, s.source.Port(), s.source.User()),
		`3308,"mysql_user":"test"`, fmt.Sprintf(`%d,"mysql_user":%q`, s.target.Port(), s.target.User()),
		`"root"`, `"`+s.source.User()+`"`, "\\u003crsa+base64\\u003e", s.encrypt(t, s.source.Password()),
		"85148787-a6ba-016f-d9d2-3bc3522a573a", node, "ab0a1cf9-6100-fb9e-6e9a-ca2e898b4d57", node)
	return s
}

// encrypt makes of a password what the documents send.
func (s *stage) encrypt(t testing.TB, password string) string {
	t.Helper()
	text, err := rsa.EncryptPKCS1v15(rand.Reader, &s.key.PublicKey, []byte(password)) //nolint:staticcheck // the contract's way
	require.NoError(t, err)
	return base64.StdEncoding.EncodeToString(text)
}

// node waits for the embedded worker node and returns its id.
func (s *stage) node(t testing.TB) string {
	t.Helper()
	var answer struct {
		Nodes []struct {
			ID string `json:"node_id"`
		} `json:"nodes"`
	}
	await(t, patience, "a worker node", func(context.Context) error {
		s.ok(t, apitest.HTTP{Method: "GET", Path: "/v2/nodes"}, &answer)
		if len(answer.Nodes) != 1 {
			return fmt.Errorf("%d nodes", len(answer.Nodes))
		}
		return nil
	})
	return answer.Nodes[0].ID
}

// here is a documented value with this stage's addresses, names and secrets.
func (s *stage) here(t testing.TB, documented any) any {
	t.Helper()
	text, err := json.Marshal(documented)
	require.NoError(t, err)
	var value any
	require.NoError(t, json.Unmarshal([]byte(s.values.Replace(string(text))), &value))
	return value
}

package mysql_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"net"
	"strings"
	"sync"
	"testing"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/server"
	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
)

// imitation speaks MySQL's protocol up to the first statements of a session.
type imitation struct {
	server.EmptyHandler
	*server.InMemoryAuthenticationHandler
	conf    *server.Server
	version string
	refusal error
	answers []answer // to statements, besides those of every session

	mu      sync.Mutex
	traffic bytes.Buffer // what clients have sent
}

const (
	plainUser     = "repl"
	plainPassword = "Tr0ub4dor&3 'quoted'"
)

// imitate starts a server whose default method is one and whose user has another.
func imitate(t *testing.T, version, method, userMethod string, secure *tls.Config) (*imitation, mysql.Config) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	s := &imitation{
		InMemoryAuthenticationHandler: server.NewInMemoryAuthenticationHandler(userMethod), version: version,
		conf: server.NewServer(version, gomysql.DEFAULT_COLLATION_ID, method, key, secure),
	}
	require.NoError(t, s.AddUser(plainUser, plainPassword))
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var sessions sync.WaitGroup
	sessions.Go(func() {
		for {
			socket, err := listener.Accept()
			if err != nil {
				return
			}
			sessions.Go(func() { s.serve(socket) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		sessions.Wait()
	})
	return s, mysql.Config{Host: "127.0.0.1", Port: uint16(listener.Addr().(*net.TCPAddr).Port), User: plainUser, Password: plainPassword}
}

func (s *imitation) serve(socket net.Conn) {
	defer func() { _ = socket.Close() }()
	conn, err := s.conf.NewCustomizedConn(recorded{socket, s}, s, s)
	for err == nil && !conn.Closed() {
		err = conn.HandleCommand()
	}
}

// recorded remembers what it reads.
type recorded struct {
	net.Conn
	by *imitation
}

func (r recorded) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	r.by.mu.Lock()
	defer r.by.mu.Unlock()
	r.by.traffic.Write(p[:n])
	return n, err
}

func (s *imitation) OnAuthSuccess(*server.Conn) error { return s.refusal }

// answer is a recorded result of the statements that begin with a text.
type answer struct {
	to      string
	columns []string
	rows    [][]any
}

func (s *imitation) HandleQuery(query string) (*gomysql.Result, error) {
	if strings.HasPrefix(query, "SET ") {
		return gomysql.NewResultReserveResultset(0), nil
	}
	session := answer{"SELECT VERSION()", []string{"VERSION()", "@@max_allowed_packet"}, [][]any{{s.version, 67108864}}}
	unknown := answer{"SHOW SESSION VARIABLES LIKE", []string{"Variable_name", "Value"}, nil}
	for _, a := range append(s.answers, session, unknown) {
		if strings.HasPrefix(query, a.to) {
			r, err := gomysql.BuildSimpleTextResultset(a.columns, a.rows)
			return gomysql.NewResult(r), err
		}
	}
	return nil, gomysql.NewError(gomysql.ER_PARSE_ERROR, "You have an error in your SQL syntax near '"+query+"'")
}

// TestAuthentication logs in by the methods of MySQL 5.7 to 8.4. The password never travels in clear.
func TestAuthentication(t *testing.T) {
	t.Parallel()
	const native, sha256, caching = gomysql.AUTH_NATIVE_PASSWORD, gomysql.AUTH_SHA256_PASSWORD, gomysql.AUTH_CACHING_SHA2_PASSWORD
	for name, tc := range map[string]struct {
		version, method, userMethod string
		offersTLS                   bool
	}{
		"5.7 native":                       {version: "5.7.44-log", method: native, userMethod: native},
		"5.7 sha256 by switch":             {version: "5.7.44-log", method: native, userMethod: sha256, offersTLS: true},
		"8.0 caching sha2":                 {version: "8.0.36", method: caching, userMethod: caching},
		"8.0 caching sha2, TLS is offered": {version: "8.0.36", method: caching, userMethod: caching, offersTLS: true},
		"8.0 native by switch":             {version: "8.0.36", method: caching, userMethod: native},
		"8.0 caching sha2 by switch":       {version: "8.0.36", method: native, userMethod: caching},
		"8.4 sha256":                       {version: "8.4.3", method: sha256, userMethod: sha256, offersTLS: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var secure *tls.Config
			if tc.offersTLS {
				secure = &tls.Config{MinVersion: tls.VersionTLS12}
			}
			s, cfg := imitate(t, tc.version, tc.method, tc.userMethod, secure)
			cfg.SSL.Mode = mysql.SSLDisabled
			for range 2 { // caching_sha2_password: by the public key first, by the hash then
				c, err := mysql.Connect(t.Context(), cfg)
				require.NoError(t, err)
				require.Equal(t, gomysql.MySQLFlavor, c.Flavor.Name())
				require.Equal(t, tc.version, c.Version)
				require.Equal(t, 64<<20, c.MaxAllowedPacket)
				require.NoError(t, c.Close())
			}
			cfg.Password = "wrong-secret"
			_, err := mysql.Connect(t.Context(), cfg)
			require.ErrorContains(t, err, `refuses user "repl"`)
			require.NotContains(t, err.Error(), cfg.Password)
			require.True(t, mysql.Permanent(err))

			s.mu.Lock()
			defer s.mu.Unlock()
			require.Contains(t, s.traffic.String(), plainUser)
			require.NotContains(t, s.traffic.String(), plainPassword)
			require.NotContains(t, s.traffic.String(), cfg.Password)
		})
	}
}

// TestEncryptedAuthentication logs in through TLS, where the methods send the password as it is.
func TestEncryptedAuthentication(t *testing.T) {
	t.Parallel()
	ours := mysqltest.NewAuthority(t)
	for _, method := range []string{gomysql.AUTH_NATIVE_PASSWORD, gomysql.AUTH_CACHING_SHA2_PASSWORD, gomysql.AUTH_SHA256_PASSWORD} {
		s, cfg := imitate(t, "8.4.3", method, method, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{ours.Pair(t, "localhost")}})
		cfg.Host, cfg.SSL = "localhost", mysql.SSL{Mode: mysql.SSLVerifyIdentity, CA: ours.PEM()}
		for range 2 {
			c, err := mysql.Connect(t.Context(), cfg)
			require.NoError(t, err, method)
			require.NoError(t, c.Close())
		}
		cfg.Password = "wrong-secret"
		_, err := mysql.Connect(t.Context(), cfg)
		require.ErrorContains(t, err, `refuses user "repl"`, method)
		s.mu.Lock()
		require.NotContains(t, s.traffic.String(), plainPassword)
		require.NotContains(t, s.traffic.String(), plainUser)
		s.mu.Unlock()
	}
}

func TestServerThatWantsTLS(t *testing.T) {
	t.Parallel()
	s, cfg := imitate(t, "8.0.36", gomysql.AUTH_CACHING_SHA2_PASSWORD, gomysql.AUTH_CACHING_SHA2_PASSWORD, nil)
	s.refusal = gomysql.NewError(3159, "Connections using insecure transport are prohibited while --require_secure_transport=ON.")
	_, err := mysql.Connect(t.Context(), cfg)
	require.ErrorContains(t, err, "wants TLS")
	require.True(t, mysql.Permanent(err))
}

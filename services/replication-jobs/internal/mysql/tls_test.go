package mysql_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
)

func TestEncryption(t *testing.T) {
	t.Parallel()
	ours, theirs := mysqltest.NewAuthority(t), mysqltest.NewAuthority(t)
	encrypting, plain := mysqltest.Start(t, 1, ours.Serve(t, "localhost")...), mysqltest.Start(t, 2)
	for name, tc := range map[string]struct {
		server *mysqltest.Server
		host   string
		ssl    mysql.SSL
		cipher bool
		err    string
	}{
		"nothing said":                   {server: encrypting, cipher: true},
		"preferred":                      {server: encrypting, ssl: mysql.SSL{Mode: mysql.SSLPreferred}, cipher: true},
		"preferred, not offered":         {server: plain, ssl: mysql.SSL{Mode: mysql.SSLPreferred}},
		"disabled":                       {server: encrypting, ssl: mysql.SSL{Mode: mysql.SSLDisabled}},
		"required":                       {server: encrypting, ssl: mysql.SSL{Mode: mysql.SSLRequired}, cipher: true},
		"required, not offered":          {server: plain, ssl: mysql.SSL{Mode: mysql.SSLRequired}, err: "does not support TLS"},
		"our authority":                  {server: encrypting, ssl: mysql.SSL{Mode: mysql.SSLVerifyCA, CA: ours.PEM()}, cipher: true},
		"another authority":              {server: encrypting, ssl: mysql.SSL{Mode: mysql.SSLVerifyCA, CA: theirs.PEM()}, err: "certificate"},
		"an authority of the system":     {server: encrypting, ssl: mysql.SSL{Mode: mysql.SSLVerifyCA}, err: "unknown authority"},
		"the server's name":              {server: encrypting, host: "localhost", ssl: mysql.SSL{Mode: mysql.SSLVerifyIdentity, CA: ours.PEM()}, cipher: true},
		"another name":                   {server: encrypting, ssl: mysql.SSL{Mode: mysql.SSLVerifyIdentity, CA: ours.PEM()}, err: "127.0.0.1"},
		"the name, by another authority": {server: encrypting, host: "localhost", ssl: mysql.SSL{Mode: mysql.SSLVerifyIdentity, CA: theirs.PEM()}, err: "certificate"},
		"no certificate":                 {server: encrypting, ssl: mysql.SSL{Mode: mysql.SSLVerifyCA, CA: "none"}, err: "mysql_ssl_ca of 127.0.0.1"},
	} {
		cfg := tc.server.Config()
		cfg.SSL = tc.ssl
		if tc.host != "" {
			cfg.Host = tc.host
		}
		c, err := mysql.Connect(t.Context(), cfg)
		if tc.err != "" {
			require.ErrorContains(t, err, tc.err, name)
			require.NotContains(t, err.Error(), cfg.Password, name)
			continue
		}
		require.NoError(t, err, name)
		r, err := c.Execute("SHOW SESSION STATUS LIKE 'Ssl_cipher'")
		require.NoError(t, err)
		cipher, err := r.GetString(0, 1)
		require.NoError(t, err)
		require.Equal(t, tc.cipher, cipher != "", "%s: %q", name, cipher)
		require.NotContains(t, []mysql.SSLMode{"", mysql.SSLPreferred}, c.Config.SSL.Mode, "it is settled")
		require.NoError(t, c.Close())
	}
	require.ErrorContains(t, mysql.SSL{Mode: mysql.SSLRequired, CA: ours.PEM()}.Check(), "has no meaning")
	require.ErrorContains(t, mysql.SSL{Mode: mysql.SSLVerifyCA, CA: "x"}.Check(), "no certificate in PEM")
}

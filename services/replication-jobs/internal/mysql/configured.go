package mysql

import (
	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"
)

// ConfigOf returns how to log in to the instance of a job.
func ConfigOf(c *replicationv1.MySQLConnection) Config {
	return Config{
		Host: c.GetMysqlHost(), Port: uint16(c.GetMysqlPort()), User: c.GetMysqlUser(), Password: c.GetMysqlPassword(),
		SSL: SSL{Mode: SSLMode(c.GetMysqlSslMode()), CA: c.GetMysqlSslCa()},
	}
}

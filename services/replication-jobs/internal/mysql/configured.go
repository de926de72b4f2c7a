package mysql

import (
	"errors"
	"fmt"
	"net"
	"strconv"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"
)

// ConfigOf returns how to log in to the instance of a job from another machine: by host and port.
func ConfigOf(c *replicationv1.MySQLConnection) Config {
	return Config{
		Host: c.GetMysqlHost(), Port: uint16(c.GetMysqlPort()), User: c.GetMysqlUser(), Password: c.GetMysqlPassword(),
		SSL: SSL{Mode: SSLMode(c.GetMysqlSslMode()), CA: c.GetMysqlSslCa()},
	}
}

// LocalConfigOf returns how a worker node logs in to the instance of a job: by its socket, if it names one.
func LocalConfigOf(c *replicationv1.MySQLConnection) Config {
	cfg := ConfigOf(c)
	cfg.Socket = c.GetMysqlSocket()
	return cfg
}

// AlternatesOf returns how to log in to the further servers of the topology of a job's source; the configuration was checked by
// CheckAddresses.
func AlternatesOf(c *replicationv1.MySQLConnection) []Config {
	var out []Config
	for _, address := range c.GetMysqlAddresses() {
		cfg := ConfigOf(c)
		cfg.Host, cfg.Port, _ = parseAddress(address) // see above
		out = append(out, cfg)
	}
	return out
}

// CheckAddresses refuses further addresses that are none.
func CheckAddresses(c *replicationv1.MySQLConnection) error {
	for _, address := range c.GetMysqlAddresses() {
		if _, _, err := parseAddress(address); err != nil {
			return fmt.Errorf("%q is no host:port: %w", address, err)
		}
	}
	return nil
}

func parseAddress(address string) (string, uint16, error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	port, err := strconv.ParseUint(text, 10, 16)
	switch {
	case host == "":
		return "", 0, errors.New("the host is missing")
	case err != nil || port == 0:
		return "", 0, errors.New("a port is a number from 1 to 65535")
	}
	return host, uint16(port), nil
}

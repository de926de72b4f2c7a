package client

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// ParseServer returns the address of an opsdeck, as http://host:port, https://host:port or either with a path before those of the API.
// Plain HTTP to another machine is refused unless plain allows it: passwords and tokens would be readable on the way.
func ParseServer(text string, plain bool) (*url.URL, error) {
	server, err := url.Parse(strings.TrimRight(text, "/"))
	if err != nil {
		return nil, fmt.Errorf("server: %w", errors.Unwrap(err)) // without the text, which may hold a password
	}
	switch {
	case server.Scheme != "http" && server.Scheme != "https" || server.Host == "":
		return nil, errors.New("server: want http://HOST:PORT or https://HOST:PORT")
	case server.User != nil:
		return nil, errors.New("server: leave user and password out of the address; opsdeck login asks for them")
	case server.RawQuery != "" || server.Fragment != "":
		return nil, errors.New("server: want an address without ? and #")
	case server.Scheme == "http" && !plain && !loopback(server.Hostname()):
		return nil, fmt.Errorf("server: http://%s would send passwords and tokens readable over the network: use https, or allow it with OPSDECK_ALLOW_PLAIN_HTTP=true", server.Host)
	}
	return server, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

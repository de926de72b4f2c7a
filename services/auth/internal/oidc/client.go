package oidc

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"
)

const (
	clientTimeout = 10 * time.Second
	dialTimeout   = 5 * time.Second
	maxAnswer     = 1 << 20 // bytes of one answer of a provider
	maxRedirects  = 3
)

// unroutable are networks that no provider of the outside world is in, besides those that netip knows by name.
var unroutable = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("240.0.0.0/4"), netip.MustParsePrefix("64:ff9b::/96"),
	netip.MustParsePrefix("2002::/16"), // the last two hold IPv4 addresses
}

var errPrivate = errors.New("the address is not of the outside world; OPSDECK_AUTH_OIDC_PRIVATE_NETWORKS=true lets providers be there")

// newClient returns the client that asks providers. Their addresses come from administrators of tenants and from the providers
// themselves, and must not become a way into the network that auth stands in: unless that is allowed, it connects to addresses of the
// outside world only, whatever a name resolves to at that moment.
func newClient(private bool) *http.Client {
	dialer := &net.Dialer{Timeout: dialTimeout}
	if !private {
		dialer.Control = func(_, address string, _ syscall.RawConn) error { return checkAddress(address) }
	}
	transport := &http.Transport{
		DialContext: dialer.DialContext, TLSHandshakeTimeout: dialTimeout, ForceAttemptHTTP2: true,
		MaxIdleConnsPerHost: 1, IdleConnTimeout: 30 * time.Second, MaxResponseHeaderBytes: 64 << 10,
	}
	return &http.Client{
		Transport: guarded{transport}, Timeout: clientTimeout,
		CheckRedirect: func(_ *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return errors.New("the provider redirects too often")
			}
			return nil
		},
	}
}

func checkAddress(address string) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	ip := ap.Addr().Unmap()
	if !ip.IsGlobalUnicast() || ip.IsPrivate() {
		return errPrivate
	}
	for _, network := range unroutable {
		if network.Contains(ip) {
			return errPrivate
		}
	}
	return nil
}

// guarded refuses requests in plain text, and answers that are too large.
type guarded struct{ next *http.Transport }

// RoundTrip implements http.RoundTripper.
func (g guarded) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := checkScheme(r.URL); err != nil {
		return nil, err
	}
	response, err := g.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	response.Body = limited{io.LimitReader(response.Body, maxAnswer), response.Body}
	return response, nil
}

// CloseIdleConnections is called by http.Client.
func (g guarded) CloseIdleConnections() { g.next.CloseIdleConnections() }

type limited struct {
	io.Reader
	io.Closer
}

// checkScheme lets only this machine be asked without TLS.
func checkScheme(u *url.URL) error {
	if u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname()) {
		return nil
	}
	return fmt.Errorf("%s://%s is not https", u.Scheme, u.Host)
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// checkIssuer refuses what cannot be an issuer (OpenID Connect Discovery 1.0, 3).
func checkIssuer(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.User != nil {
		return errors.New("must be an https address without query, fragment and user")
	}
	return checkScheme(u)
}

// Package endpoint makes requests to the HTTP API of a name server: with its credential in a header, bounded in time and size, and never
// following a redirect, which could carry the credential to another place.
package endpoint

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/opsdeck/opsdeck/pkg/secret"
	"github.com/opsdeck/opsdeck/services/dns/internal/nameserver"
)

// Limits of a request.
const (
	dialTimeout   = 5 * time.Second
	answerTimeout = 60 * time.Second // until the head of the answer; a push of 10,000 sets takes seconds
	idleTimeout   = 30 * time.Second
	maxConns      = 8
	maxMessage    = 512 // bytes of a refusal's text that are shown
)

// Client makes requests to one server.
type Client struct {
	base   *url.URL
	name   string // for messages: no credentials, no query
	header string
	value  secret.Text
	http   *http.Client
}

// New returns a client for the API at a base URL (http or https, no user, query or fragment), which sends a credential in a header. roots are
// the certificates that sign the server's; nil for the system's.
func New(base, header string, value secret.Text, roots *x509.CertPool) (*Client, error) {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("the API endpoint is not a URL of the form http://host:port/ or https://host:port/")
	}
	dialer := &net.Dialer{Timeout: dialTimeout}
	return &Client{
		base: u, name: u.Scheme + "://" + u.Host, header: header, value: value,
		http: &http.Client{
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{
				DialContext: dialer.DialContext, TLSHandshakeTimeout: dialTimeout, ResponseHeaderTimeout: answerTimeout,
				IdleConnTimeout: idleTimeout, MaxConnsPerHost: maxConns, MaxResponseHeaderBytes: 64 << 10,
				TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			},
		},
	}, nil
}

// Name returns what the server is called in messages.
func (c *Client) Name() string { return c.name }

// Host returns the host of the server, without a port.
func (c *Client) Host() string { return c.base.Hostname() }

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Request is one call.
type Request struct {
	Method string
	Path   string // escaped, below the base URL, without a slash in front
	Query  url.Values
	Body   any    // sent as JSON; nil: none
	Doing  string // for messages: "create the zone example.org."
}

// Do makes a request and returns the answer, whatever its status; the caller closes its body. Errors: *nameserver.Unreachable.
func (c *Client) Do(ctx context.Context, r Request) (*http.Response, error) {
	var body io.Reader = http.NoBody
	if r.Body != nil {
		text, err := json.Marshal(r.Body)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.Doing, err)
		}
		body = bytes.NewReader(text)
	}
	target := strings.TrimSuffix(c.base.String(), "/") + "/" + r.Path
	if len(r.Query) > 0 {
		target += "?" + r.Query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, r.Method, target, body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.Doing, err)
	}
	request.Header.Set(c.header, c.value.Reveal())
	request.Header.Set("Accept", "application/json")
	if r.Body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, c.Unreachable(r.Doing, err)
	}
	return response, nil
}

// Fetch makes a request that must be answered with a status 2xx, and decodes the answer into out unless that is nil. limit is the most bytes
// of the answer. Errors: *nameserver.Unreachable, *Status.
func (c *Client) Fetch(ctx context.Context, r Request, limit int64, out any) (err error) {
	response, err := c.Do(ctx, r)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	if err := c.Check(response, r.Doing); err != nil || out == nil {
		return err
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, limit)).Decode(out); err != nil {
		return c.Unreachable(r.Doing, fmt.Errorf("unusable answer: %w", err))
	}
	return nil
}

// Status is an answer that is neither success nor the server's failure.
type Status struct {
	Code    int
	Refused *nameserver.Refused // what it means when nothing better is known
}

func (s *Status) Error() string { return s.Refused.Error() }

func (s *Status) Unwrap() error { return s.Refused }

// Code returns the status of an answer that was refused, 0 for other errors.
func Code(err error) int {
	var status *Status
	if errors.As(err, &status) {
		return status.Code
	}
	return 0
}

// Check returns nil for a status 2xx, *nameserver.Unreachable for 429 and 5xx, which may pass (PowerDNS answers 500 while its database
// is locked), and otherwise *Status. It reads the beginning of the body.
func (c *Client) Check(response *http.Response, doing string) error {
	if response.StatusCode/100 == 2 {
		return nil
	}
	text := message(response.Body)
	if response.StatusCode == http.StatusTooManyRequests || response.StatusCode/100 == 5 {
		return c.Unreachable(doing, fmt.Errorf("status %d: %s", response.StatusCode, text))
	}
	reason := fmt.Sprintf("status %d: %s", response.StatusCode, text)
	switch {
	case response.StatusCode == http.StatusUnauthorized, response.StatusCode == http.StatusForbidden:
		reason += "; check the credential, and the networks that the server lets in"
	case response.StatusCode/100 == 3:
		reason = fmt.Sprintf("status %d: redirects are not followed; give the address it leads to", response.StatusCode)
	}
	return &Status{Code: response.StatusCode, Refused: &nameserver.Refused{Server: c.name, Doing: doing, Reason: reason}}
}

// Unreachable wraps an error of the network.
func (c *Client) Unreachable(doing string, cause error) error {
	var wrapped *url.Error // names the URL again
	if errors.As(cause, &wrapped) {
		cause = wrapped.Err
	}
	return &nameserver.Unreachable{Server: c.name, Doing: doing, Cause: cause}
}

// message returns the beginning of a refusal on one line: the field error of JSON, or the text.
func message(body io.Reader) string {
	text, err := io.ReadAll(io.LimitReader(body, 8<<10))
	if err != nil {
		return "unreadable answer"
	}
	var refusal struct {
		Error string `json:"error"`
	}
	said := string(text)
	if json.Unmarshal(text, &refusal) == nil && refusal.Error != "" {
		said = refusal.Error
	}
	said = strings.Join(strings.Fields(strings.ToValidUTF8(said, "?")), " ")
	if len(said) > maxMessage {
		said = strings.ToValidUTF8(said[:maxMessage], "") + "…"
	}
	return said
}

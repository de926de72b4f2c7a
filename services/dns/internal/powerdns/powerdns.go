// Package powerdns drives PowerDNS authoritative servers through their HTTP API.
package powerdns

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"github.com/opsdeck/opsdeck/pkg/secret"
	"github.com/opsdeck/opsdeck/services/dns/internal/endpoint"
	"github.com/opsdeck/opsdeck/services/dns/internal/nameserver"
)

// The oldest supported version: what the tests run against.
const (
	leastMajor = 4
	leastMinor = 7
)

// smallAnswer is the most bytes of an answer about one zone or name.
const smallAnswer = 4 << 20

// Config says which server, and as whom.
type Config struct {
	Endpoint string         // base URL of the webserver, http://127.0.0.1:8081/
	APIKey   secret.Text    // api-key of its configuration
	Native   bool           // new zones are native, replicated by the database; otherwise primary, and secondaries are notified
	Roots    *x509.CertPool // certificates that sign the server's; nil: the system's
}

// Driver implements nameserver.Driver.
//
// The API has no prerequisites. Apply reads what it is to change, compares, and writes all changes in one request, which the server makes
// in one transaction. An edit by somebody else that falls between reading and writing (about a millisecond for few sets) and touches the
// same set is overwritten without notice; the caller keeps its own pushes to a zone in sequence. The sum of all changes is one request of
// at most 1.9 MB, the server's default limit being 2: about 12,000 sets of one record. More are made in several such requests (nameserver.Push).
//
// What the API reports about a name leaves out disabled records, so an edit by hand of disabled records alone is seen by Transfer only.
type Driver struct {
	api    *endpoint.Client
	native bool
	// unrectified are the zones that the server was told not to rectify with every change.
	unrectified sync.Map
}

// New returns a driver. It asks nothing yet.
func New(cfg Config) (*Driver, error) {
	api, err := endpoint.New(cfg.Endpoint, "X-API-Key", cfg.APIKey, cfg.Roots)
	if err != nil {
		return nil, err
	}
	return &Driver{api: api, native: cfg.Native}, nil
}

// Close ends idle connections.
func (d *Driver) Close() { d.api.Close() }

// KeepsDisabled is true: records have a flag.
func (*Driver) KeepsDisabled() bool { return true }

// Check asks for the server's version.
func (d *Driver) Check(ctx context.Context) error {
	const doing = "tell its version"
	var server struct {
		Daemon  string `json:"daemon_type"`
		Version string `json:"version"`
	}
	request := endpoint.Request{Method: http.MethodGet, Path: "api/v1/servers/localhost", Doing: doing}
	if err := d.api.Fetch(ctx, request, smallAnswer, &server); err != nil {
		return err
	}
	if server.Daemon != "authoritative" || tooOld(server.Version) {
		return &nameserver.Refused{Server: d.api.Name(), Doing: doing, Reason: fmt.Sprintf(
			"it is PowerDNS %.40q %.40q, want an authoritative server of version %d.%d or newer", server.Daemon, server.Version, leastMajor, leastMinor)}
	}
	return nil
}

// tooOld reports a version before the supported ones. Versions that are no numbers, of builds from source, are taken as new.
func tooOld(version string) bool {
	first, rest, _ := strings.Cut(version, ".")
	second, _, _ := strings.Cut(rest, ".")
	major, err := strconv.Atoi(first)
	if err != nil {
		return false
	}
	minor, err := strconv.Atoi(second)
	return major < leastMajor || err == nil && major == leastMajor && minor < leastMinor
}

// zonePath is the path of a zone below the base URL.
func zonePath(zone string) string { return "api/v1/servers/localhost/zones/" + url.PathEscape(zone) }

// unknown turns the status of a zone that is not there into its error.
func unknown(err error) error {
	if endpoint.Code(err) == http.StatusNotFound {
		return nameserver.ErrZoneUnknown
	}
	return err
}

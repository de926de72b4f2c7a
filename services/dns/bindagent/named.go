package bindagent

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/opsdeck/opsdeck/services/dns/internal/jsonstream"
	"github.com/opsdeck/opsdeck/services/dns/internal/rndc"
)

var (
	errExists   = errors.New("named has this zone already")
	errNotFound = errors.New("named has no such zone")
	errContent  = errors.New("the content is not a zone")
)

// named is the server beside the agent.
type named struct {
	control    rndc.Client
	tsigKey    string // canonical name
	root       *os.Root
	statistics string
	http       *http.Client
	turn       chan struct{} // held while zones are added or removed, one at a time
}

func (n *named) close() {
	n.http.CloseIdleConnections()
	_ = n.root.Close() // only closes the handle
}

// take waits for the turn to add or remove a zone; the caller gives it back.
func (n *named) take(ctx context.Context) (func(), error) {
	select {
	case n.turn <- struct{}{}:
		return func() { <-n.turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// version asks named which it is.
func (n *named) version(ctx context.Context) (string, error) {
	status, err := n.control.Do(ctx, "status")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(status) {
		if rest, ok := strings.CutPrefix(line, "version: BIND "); ok {
			version, _, _ := strings.Cut(rest, " ")
			return strings.TrimSpace(version), nil
		}
	}
	return "", errors.New("named does not tell its version")
}

// show returns the configuration of a zone. zone is canonical.
func (n *named) show(ctx context.Context, zone string) (string, error) {
	text, err := n.control.Do(ctx, "showzone "+strings.TrimSuffix(zone, "."))
	if rndc.NotFound(err) {
		return "", errNotFound
	}
	return strings.TrimSpace(text), err
}

// add writes the zone's file and adds the zone. Each zone gets a file of a new name: named removes the one of a deleted zone some time later.
func (n *named) add(ctx context.Context, zone, content string) error {
	text, err := plain(zone, content)
	if err != nil {
		return err
	}
	done, err := n.take(ctx)
	if err != nil {
		return err
	}
	defer done()
	switch _, err := n.show(ctx, zone); {
	case err == nil:
		return errExists
	case !errors.Is(err, errNotFound):
		return err
	}
	file := fileName(zone)
	if err := n.write(file, text); err != nil {
		return err
	}
	_, err = n.control.Do(ctx, n.addCommand(zone, file))
	if err == nil {
		return nil
	}
	_ = n.root.Remove(file) // what counts is why named refused
	if rndc.Exists(err) {
		return errExists
	}
	return err
}

// addCommand lets the key update the zone. Targets without an address are left to opsdeck's own rules: named would refuse the whole
// update and tell its log only.
func (n *named) addCommand(zone, file string) string {
	return fmt.Sprintf(`addzone %s { type primary; file "%s"; allow-update { key "%s"; }; check-integrity no; };`,
		strings.TrimSuffix(zone, "."), file, strings.TrimSuffix(n.tsigKey, "."))
}

// fileName makes a name below named's directory. Zone names have only letters, digits, hyphens and underscores in their labels; a file name
// holds fewer characters than the longest of them.
func fileName(zone string) string {
	const most = 200
	var unique [8]byte
	_, _ = rand.Read(unique[:]) // never fails: it ends the process instead
	return path.Join(zoneDirectory, zone[:min(len(zone), most)]+hex.EncodeToString(unique[:])+".db")
}

// write makes a file that is on disk when it returns.
func (n *named) write(name, text string) error {
	f, err := n.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) // named may run as another user
	if err != nil {
		return fmt.Errorf("zone file: %w", err)
	}
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(fmt.Errorf("zone file: %w", err), n.root.Remove(name))
	}
	return nil
}

// recheck is how long to wait between questions whether a zone is gone.
const recheck = 2 * time.Millisecond

// remove takes a zone away, with its files, and returns when named no longer answers for it. A zone that is not there is no error.
func (n *named) remove(ctx context.Context, zone string) error {
	done, err := n.take(ctx)
	if err != nil {
		return err
	}
	defer done()
	name := strings.TrimSuffix(zone, ".")
	if _, err := n.control.Do(ctx, "delzone -clean "+name); err != nil {
		if rndc.NotFound(err) {
			return nil
		}
		return err
	}
	for {
		_, err := n.control.Do(ctx, "zonestatus "+name)
		if rndc.NotFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case <-time.After(recheck):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Bounds of what is read from the statistics channel.
const (
	maxStatistics = 1 << 30 // bytes; a zone takes about 150
	primary       = "primary"
)

// list calls yield with the canonical name of every zone of the default view that named is primary for. It reads the statistics channel, because no command of the
// control channel lists zones.
func (n *named) list(ctx context.Context, yield func(zone string) error) (err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(n.statistics, "/")+"/json/v1/zones", http.NoBody)
	if err != nil {
		return err
	}
	response, err := n.http.Do(request)
	if err != nil {
		return fmt.Errorf("statistics channel of named, is it configured? %w", err)
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("statistics channel of named: %s", response.Status)
	}
	in := json.NewDecoder(io.LimitReader(response.Body, maxStatistics))
	only := func(want string, value func() error) error {
		return jsonstream.Fields(in, func(name string) error {
			if name != want {
				return jsonstream.Skip(in)
			}
			return value()
		})
	}
	zones := func() error {
		return jsonstream.Each(in, func() error {
			var zone struct{ Name, Class, Type string }
			if err := in.Decode(&zone); err != nil || zone.Type != primary || zone.Class != "IN" {
				return err
			}
			return yield(dns.CanonicalName(zone.Name))
		})
	}
	return only("views", func() error { return only("_default", func() error { return only("zones", zones) }) })
}

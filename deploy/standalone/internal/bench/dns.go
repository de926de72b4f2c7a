package bench

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/opsdeck/opsdeck/deploy/standalone/internal/stage"
	"github.com/opsdeck/opsdeck/services/dns/dnstest"
)

const (
	manyZones   = 10_000
	manyRecords = 100_000 // of one zone
	bulkRecords = 10_000
	patchedSets = 1_000 // what single PATCHes are measured with: ten times as many take ten times as long
	singleAdds  = 40    // one after the other, of which the median counts
	pageReads   = 40
)

// DNS measures the dns service beside nsupdate and plain API calls, and writes its tables of docs/benchmarks.md.
func DNS(ctx context.Context, out io.Writer, dir, address string, serve stage.Server) error {
	return withNames(ctx, out, dir, address, serve, func(ctx context.Context, n *names) error {
		if err := n.bulk(ctx, rounds); err != nil {
			return err
		}
		return n.size(ctx)
	})
}

// Bulk is the part of DNS about many new records in one call, with a number of rounds.
func Bulk(ctx context.Context, out io.Writer, dir, address string, serve stage.Server, rounds int) error {
	return withNames(ctx, out, dir, address, serve, func(ctx context.Context, n *names) error { return n.bulk(ctx, rounds) })
}

// withNames measures on name servers that end with it.
func withNames(ctx context.Context, out io.Writer, dir, address string, serve stage.Server, measure func(context.Context, *names) error) error {
	return stage.Run(ctx, dir, address, serve, func(ctx context.Context, on *stage.Stage) error {
		fmt.Fprintf(out, "%d CPUs, %s\n", runtime.NumCPU(), runtime.Version())
		opsdeck, err := on.SignIn(ctx)
		if err != nil {
			return err
		}
		n := &names{stage: on, token: opsdeck.Token, out: out}
		defer n.end()
		if err := n.start(ctx); err != nil {
			return err
		}
		return measure(ctx, n)
	})
}

// names are the name servers of the measurement, and a client of opsdeck that drives them.
type names struct {
	stage *stage.Stage
	token string
	out   io.Writer

	powerdns *dnstest.PowerDNS
	named    *dnstest.Named
	agent    *dnstest.Agent
	database string // of PowerDNS
	pdns     int64  // ids of the servers in opsdeck
	bind     int64
}

func (n *names) start(ctx context.Context) (err error) {
	dirs := [2]string{filepath.Join(n.stage.Dir, "pdns"), filepath.Join(n.stage.Dir, "named")}
	for _, dir := range dirs {
		if err := os.Mkdir(dir, 0o711); err != nil { //nolint:gosec // the servers run as users of their own
			return err
		}
	}
	n.database = filepath.Join(dirs[0], "pdns.sqlite3")
	if n.powerdns, err = dnstest.StartPowerDNS(ctx, dirs[0]); err != nil {
		return err
	}
	if n.named, err = dnstest.StartNamed(ctx, dirs[1]); err != nil {
		return err
	}
	if n.agent, err = dnstest.StartAgent(ctx, n.named); err != nil {
		return err
	}
	n.pdns, err = n.make(ctx, "/dns-services/", map[string]any{
		"name": "pdns", "type": "powerdns", "api_endpoint": n.powerdns.URL(), "description": "", "api_key": n.powerdns.APIKey().Reveal(),
	})
	if err != nil {
		return err
	}
	n.bind, err = n.make(ctx, "/dns-services/", map[string]any{
		"name": "bind", "type": "bind", "api_endpoint": n.agent.URL(), "description": "",
		"agent_token": n.agent.Token().Reveal(), "tsig_secret": n.named.KeySecret(),
	})
	return err
}

// end kills the servers, whose files are thrown away.
func (n *names) end() {
	if n.agent != nil {
		_ = n.agent.Stop()
	}
	if n.named != nil {
		_ = n.named.Kill()
	}
	if n.powerdns != nil {
		_ = n.powerdns.Kill()
	}
}

// bulk makes 10,000 records in one call, and beside it the same by the servers' own means.
func (n *names) bulk(ctx context.Context, rounds int) error {
	type run = func(ctx context.Context) error
	arms := []struct {
		name  string
		ready func(domain int64, zone string) (run, error) // what each is fed with is made before the time is taken
		part  int                                          // of the records: 1 for all, 10 for every tenth
	}{
		{"opsdeck, one call, BIND", func(domain int64, zone string) (run, error) { return n.createMany(n.bind, domain, zone, 0) }, 1},
		{"nsupdate, the same records", func(_ int64, zone string) (run, error) { return n.nsupdate(zone) }, 1},
		{"opsdeck, one call, PowerDNS", func(domain int64, zone string) (run, error) { return n.createMany(n.pdns, domain, zone, 0) }, 1},
		{"a PATCH per record set, PowerDNS (1,000 measured, times ten)", func(_ int64, zone string) (run, error) {
			return func(ctx context.Context) error { return n.patches(ctx, zone) }, nil
		}, bulkRecords / patchedSets},
	}
	took := make([][]time.Duration, len(arms))
	for round := range rounds {
		for i, arm := range arms {
			zone := fmt.Sprintf("bulk%d-%d.example", i, round)
			server := n.bind
			if i > 1 {
				server = n.pdns
			}
			domain, err := n.make(ctx, fmt.Sprintf("/dns-services/%d/domains/", server), map[string]any{"name": zone})
			if err != nil {
				return err
			}
			run, err := arm.ready(domain, zone)
			if err != nil {
				return err
			}
			began := time.Now()
			if err := run(ctx); err != nil {
				return fmt.Errorf("%s: %w", arm.name, err)
			}
			took[i] = append(took[i], time.Since(began)*time.Duration(arm.part))
		}
	}
	fmt.Fprintf(n.out, "\n### %d new records in one zone\n\n| arm | time | ratio to the peer | rounds |\n| --- | --- | --- | --- |\n", bulkRecords)
	for i, arm := range arms {
		own, peer := median(took[i]), median(took[i|1])
		fmt.Fprintf(n.out, "| %s | %v | %.2f | %v |\n", arm.name, own.Round(time.Millisecond), float64(own)/float64(peer), rounded(took[i]))
	}
	return nil
}

// size adds single records to an empty system and to a large one, and reads pages of the large one.
func (n *names) size(ctx context.Context) error {
	before, err := n.addsToEmpty(ctx)
	if err != nil {
		return err
	}
	if err := n.fill(ctx); err != nil {
		return err
	}
	var large struct {
		Domain struct {
			ID int64 `json:"id"`
		} `json:"domain"`
		Records int64 `json:"records"`
	}
	if err := n.call(ctx, "POST", fmt.Sprintf("/dns-services/%d/actions/import/", n.pdns), map[string]any{"name": "large.example"}, &large); err != nil {
		return err
	}
	onBIND, err := n.large(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(n.out, "\n### Adding one record, until the server serves it\n\n| server | empty, p50 | %d domains, to one with %d records, p50 | ratio |\n| --- | --- | --- | --- |\n",
		manyZones, large.Records)
	for i, arm := range []struct {
		name           string
		server, domain int64
	}{{"BIND", n.bind, onBIND}, {"PowerDNS", n.pdns, large.Domain.ID}} {
		after, err := n.adds(ctx, arm.server, arm.domain, "after", "large.example")
		if err != nil {
			return err
		}
		fmt.Fprintf(n.out, "| %s | %v | %v | %.2f |\n", arm.name, before[i].Round(10*time.Microsecond), after.Round(10*time.Microsecond), float64(after)/float64(before[i]))
	}
	return n.pages(ctx, large.Domain.ID)
}

// addsToEmpty adds records while there is little else, on BIND and on PowerDNS.
func (n *names) addsToEmpty(ctx context.Context) (took [2]time.Duration, err error) {
	for i, server := range []int64{n.bind, n.pdns} {
		domain, err := n.make(ctx, fmt.Sprintf("/dns-services/%d/domains/", server), map[string]any{"name": "small.example"})
		if err != nil {
			return took, err
		}
		if took[i], err = n.adds(ctx, server, domain, "before", "small.example"); err != nil {
			return took, err
		}
	}
	return took, nil
}

// large makes the large zone on BIND.
func (n *names) large(ctx context.Context) (int64, error) {
	domain, err := n.make(ctx, fmt.Sprintf("/dns-services/%d/domains/", n.bind), map[string]any{"name": "large.example"})
	if err != nil {
		return 0, err
	}
	for part := 0; part < manyRecords; part += bulkRecords {
		create, err := n.createMany(n.bind, domain, "large.example", part)
		if err != nil {
			return 0, err
		}
		if err := create(ctx); err != nil {
			return 0, err
		}
	}
	return domain, nil
}

func (n *names) adds(ctx context.Context, server, domain int64, prefix, zone string) (time.Duration, error) {
	var took []time.Duration
	for i := range singleAdds {
		began := time.Now()
		_, err := n.make(ctx, fmt.Sprintf("/dns-services/%d/domains/%d/records/", server, domain), map[string]any{
			"name": fmt.Sprintf("%s%d.%s", prefix, i, zone), "type": "A", "value": "192.0.2.1",
		})
		if err != nil {
			return 0, err
		}
		took = append(took, time.Since(began))
	}
	return median(took), nil
}

// pages reads lists of the large system.
func (n *names) pages(ctx context.Context, domain int64) error {
	fmt.Fprintf(n.out, "\n### A page of a list, with %d domains and %d records in one of them\n\n| list | p50 | p99 |\n| --- | --- | --- |\n", manyZones, manyRecords)
	records := fmt.Sprintf("/dns-services/%d/domains/%d/records/", n.pdns, domain)
	domains := fmt.Sprintf("/dns-services/%d/domains/", n.pdns)
	for _, list := range []struct{ name, path string }{
		{"records, first page", records},
		{"records, page 500 of 100", records + "?page=500&page_size=100"},
		{"records of a type", records + "?type=A"},
		{"records, part of the name", records + "?name=h99999"},
		{"records, part of the value", records + "?value=10.1.134.159"},
		{"domains, first page", domains},
		{"domains, page 90 of 100", domains + "?page=90&page_size=100"},
		{"domains, part of the name", domains + "?name=z9999"},
	} {
		var took []time.Duration
		for range pageReads {
			began := time.Now()
			if err := n.call(ctx, "GET", list.path, nil, nil); err != nil {
				return err
			}
			took = append(took, time.Since(began))
		}
		slices.Sort(took)
		fmt.Fprintf(n.out, "| %s | %v | %v |\n", list.name, median(took).Round(10*time.Microsecond), took[len(took)-1].Round(10*time.Microsecond))
	}
	return nil
}

func median(took []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(took))
	return sorted[len(sorted)/2]
}

func rounded(took []time.Duration) []time.Duration {
	all := make([]time.Duration, len(took))
	for i, t := range took {
		all[i] = t.Round(time.Millisecond)
	}
	return all
}

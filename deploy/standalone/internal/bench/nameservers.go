package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/opsdeck/opsdeck/pkg/pg"
)

const patchTries = 5

// call sends a request to opsdeck and decodes its answer.
func (n *names) call(ctx context.Context, method, path string, body, into any) error {
	if body == nil {
		return n.send(ctx, method, path, nil, into)
	}
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return n.send(ctx, method, path, text, into)
}

// send is call with a body that is JSON already.
func (n *names) send(ctx context.Context, method, path string, text []byte, into any) error {
	request, err := http.NewRequestWithContext(ctx, method, "http://"+n.stage.Address+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Token "+n.token)
	request.Header.Set("Content-Type", "application/json")
	return exchange(request, into)
}

// exchange sends a request that must succeed. A nil into reads the answer and forgets it.
func exchange(request *http.Request, into any) (err error) {
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }() // it was read to the end
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%s %s: %s: %s", request.Method, request.URL.Path, response.Status, text)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(text, into)
}

// make sends a request that makes something and returns its id.
func (n *names) make(ctx context.Context, path string, body any) (int64, error) {
	var made struct {
		ID      int64 `json:"id"`
		Pending bool  `json:"pending"`
	}
	err := n.call(ctx, http.MethodPost, path, body, &made)
	if err == nil && made.Pending {
		err = fmt.Errorf("POST %s: the server does not serve it yet", path)
	}
	return made.ID, err
}

// address is the address of the nth record.
func address(i int) string { return fmt.Sprintf("10.%d.%d.%d", i>>16&255, i>>8&255, i&255) }

// createMany returns a call that makes 10,000 records, numbered from first.
func (n *names) createMany(server, domain int64, zone string, first int) (func(ctx context.Context) error, error) {
	records := make([]map[string]any, bulkRecords)
	for i := range records {
		records[i] = map[string]any{"name": fmt.Sprintf("h%d.%s", first+i, zone), "type": "A", "value": address(first + i)}
	}
	body, err := json.Marshal(records)
	return func(ctx context.Context) error {
		var made struct {
			Pending bool `json:"pending"`
		}
		err := n.send(ctx, http.MethodPost, fmt.Sprintf("/dns-services/%d/domains/%d/records/actions/create/", server, domain), body, &made)
		if err == nil && made.Pending {
			err = fmt.Errorf("the records of %s are not served yet", zone)
		}
		return err
	}, err
}

// nsupdate returns a run of BIND's own tool on a file with the same records, which sends a message for every 1,000.
func (n *names) nsupdate(zone string) (func(ctx context.Context) error, error) {
	host, port, err := net.SplitHostPort(n.named.Addr())
	if err != nil {
		return nil, err
	}
	var text strings.Builder
	fmt.Fprintf(&text, "server %s %s\nzone %s\n", host, port, zone)
	for i := range bulkRecords {
		fmt.Fprintf(&text, "update add h%d.%s. 3600 A %s\n", i, zone, address(i))
		if i%1000 == 999 {
			text.WriteString("send\n")
		}
	}
	file := filepath.Join(n.stage.Dir, zone+".nsupdate")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		out, err := exec.CommandContext(ctx, "nsupdate", "-v", "-k", n.named.UpdateKeyFile(), file).CombinedOutput() //nolint:gosec // our own paths
		if err != nil {
			return fmt.Errorf("nsupdate: %w: %s", err, out)
		}
		return nil
	}, nil
}

// patches sends one request per record set, as tools do that compare and then change one set at a time.
func (n *names) patches(ctx context.Context, zone string) error {
	for i := range patchedSets {
		if err := n.patch(ctx, zone, i); err != nil {
			return err
		}
	}
	return nil
}

// patch sends one of them, again when the server fails: on a busy machine its SQLite is locked now and then.
func (n *names) patch(ctx context.Context, zone string, i int) (err error) {
	body := fmt.Sprintf(`{"rrsets":[{"name":"h%d.%s.","type":"A","ttl":3600,"changetype":"REPLACE","records":[{"content":%q,"disabled":false}]}]}`,
		i, zone, address(i))
	for range patchTries {
		request, failed := http.NewRequestWithContext(ctx, http.MethodPatch, n.powerdns.URL()+"api/v1/servers/localhost/zones/"+zone+".", strings.NewReader(body))
		if failed != nil {
			return failed
		}
		request.Header.Set("X-API-Key", n.powerdns.APIKey().Reveal())
		if err = exchange(request, nil); err == nil {
			return nil
		}
	}
	return err
}

// fill puts many zones, and one large one, into PowerDNS and opsdeck's database, past their APIs: how they came there does not matter.
func (n *names) fill(ctx context.Context) error {
	var text strings.Builder
	text.WriteString("BEGIN;\n")
	zone := func(name string) {
		fmt.Fprintf(&text, "INSERT INTO domains (name, type) VALUES ('%s', 'NATIVE');\n", name)
		text.WriteString("INSERT INTO domainmetadata (domain_id, kind, content) VALUES ((SELECT max(id) FROM domains), 'SOA-EDIT-API', 'INCREASE');\n")
		for typ, content := range map[string]string{"SOA": "ns1.dns.internal. hostmaster." + name + ". 1 3600 600 1209600 300", "NS": "ns1.dns.internal."} {
			fmt.Fprintf(&text, "INSERT INTO records (domain_id, name, type, content, ttl, prio, disabled, auth) VALUES ((SELECT max(id) FROM domains), '%s', '%s', '%s', 3600, 0, 0, 1);\n",
				name, typ, strings.TrimSuffix(content, "."))
		}
	}
	for i := range manyZones {
		zone(fmt.Sprintf("z%d.example", i))
	}
	zone("large.example")
	for i := range manyRecords {
		fmt.Fprintf(&text, "INSERT INTO records (domain_id, name, type, content, ttl, prio, disabled, auth) VALUES ((SELECT max(id) FROM domains), 'h%d.large.example', 'A', '%s', 3600, 0, 0, 1);\n",
			i, address(i))
	}
	text.WriteString("COMMIT;\n")
	load := exec.CommandContext(ctx, "sqlite3", n.database) //nolint:gosec // our own path
	load.Stdin = strings.NewReader(text.String())
	if out, err := load.CombinedOutput(); err != nil {
		return fmt.Errorf("fill PowerDNS: %w: %s", err, out)
	}
	url, err := os.ReadFile(filepath.Join(n.stage.Data, "secrets", "database.dns"))
	if err != nil {
		return err
	}
	pool, err := pg.Open(ctx, string(url), pg.Options{Application: "bench"})
	if err != nil {
		return err
	}
	defer pool.Close()
	_, err = pool.Exec(ctx, `
		INSERT INTO dns.domains (server_id, name, default_ttl, creator_tenant, creator)
		SELECT $1, 'z' || i || '.example.', 3600, 'platform', 'admin' FROM generate_series(0, $2 - 1) AS i`, n.pdns, manyZones)
	return err
}

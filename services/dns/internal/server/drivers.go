package server

import (
	"cmp"
	"context"
	"sync"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/secret"

	"github.com/opsdeck/opsdeck/services/dns/internal/bind"
	"github.com/opsdeck/opsdeck/services/dns/internal/keyfile"
	"github.com/opsdeck/opsdeck/services/dns/internal/nameserver"
	"github.com/opsdeck/opsdeck/services/dns/internal/powerdns"
	"github.com/opsdeck/opsdeck/services/dns/internal/reach"
)

// Credentials are those of servers that bring none of their own.
type Credentials struct {
	APIKey     secret.Text // PowerDNS
	AgentToken secret.Text // BIND
	TSIGName   string      // BIND; "" takes the one that the agent names
	TSIGSecret secret.Text // BIND
}

// Drivers keeps the driver of each server, so that connections are used again.
type Drivers struct {
	pool     *pgxpool.Pool
	sealer   *secret.Sealer
	defaults Credentials

	mu     sync.Mutex
	opened map[int64]nameserver.Driver
}

// NewDrivers returns drivers for the servers in the database. Close ends their connections.
func NewDrivers(pool *pgxpool.Pool, sealer *secret.Sealer, defaults Credentials) *Drivers {
	return &Drivers{pool: pool, sealer: sealer, defaults: defaults, opened: map[int64]nameserver.Driver{}}
}

// Driver returns the driver of a server.
func (d *Drivers) Driver(ctx context.Context, id int64) (nameserver.Driver, error) {
	d.mu.Lock()
	driver, ok := d.opened[id]
	d.mu.Unlock()
	if ok {
		return driver, nil
	}
	row, err := Find(ctx, d.pool, reach.Reach{Every: true}, id)
	if err != nil {
		return nil, err
	}
	own, err := row.unseal(d.sealer)
	if err != nil {
		return nil, err
	}
	if driver, err = d.open(row, own); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if other, ok := d.opened[id]; ok {
		closeDriver(driver)
		return other, nil
	}
	d.opened[id] = driver
	return driver, nil
}

// Close ends all connections.
func (d *Drivers) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, driver := range d.opened {
		closeDriver(driver)
		delete(d.opened, id)
	}
}

// open makes a driver. Errors: CREDENTIALS_MISSING, invalid api_endpoint.
func (d *Drivers) open(row Row, own secrets) (nameserver.Driver, error) {
	if row.Type == PowerDNS {
		key := cmp.Or(secret.Text(own.APIKey), d.defaults.APIKey)
		if key == "" {
			return nil, missing("api_key", "OPSDECK_DNS_POWERDNS_KEY_FILE")
		}
		driver, err := powerdns.New(powerdns.Config{Endpoint: row.APIEndpoint, APIKey: key})
		if err != nil {
			return nil, fault.Invalid("api_endpoint", "%s", err.Error())
		}
		return driver, nil
	}
	return d.openBIND(row, own)
}

func (d *Drivers) openBIND(row Row, own secrets) (nameserver.Driver, error) {
	token := cmp.Or(secret.Text(own.AgentToken), d.defaults.AgentToken)
	if token == "" {
		return nil, missing("agent_token", "OPSDECK_DNS_BIND_TOKEN_FILE")
	}
	name, text := own.TSIGName, secret.Text(own.TSIGSecret)
	if text == "" {
		name, text = cmp.Or(name, d.defaults.TSIGName), d.defaults.TSIGSecret
	}
	if text == "" {
		return nil, missing("tsig_secret", "OPSDECK_DNS_BIND_TSIG_FILE")
	}
	key, err := keyfile.FromSecret(name, text)
	if err != nil {
		return nil, fault.Invalid("tsig_secret", "%s", err.Error()).Chinese("TSIG 密钥名称或内容不正确")
	}
	driver, err := bind.New(bind.Config{Endpoint: row.APIEndpoint, Token: token, Key: key})
	if err != nil {
		return nil, fault.Invalid("api_endpoint", "%s", err.Error())
	}
	return driver, nil
}

func missing(field, setting string) error {
	f := fault.Invalid(field, "is needed: the settings have none for servers that bring none (%s)", setting).
		Chinese("必须给出：配置中没有默认凭据（%s）", setting)
	f.Reason = "CREDENTIALS_MISSING"
	return f
}

// closeDriver ends the connections of a driver that has some.
func closeDriver(driver nameserver.Driver) {
	if c, ok := driver.(interface{ Close() }); ok {
		c.Close()
	}
}

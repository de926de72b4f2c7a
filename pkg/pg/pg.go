// Package pg opens PostgreSQL pools, runs transactions and migrations, and turns the server's errors into faults.
package pg

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// minConns is the least pool that cannot starve itself: migrations and the job queue each hold one connection
// while they ask for another.
const minConns = 4

// Options tune a pool.
type Options struct {
	Application string // shown by pg_stat_activity
	MaxConns    int32  // 16 when zero
}

// Open makes a pool and checks that the server answers. The search_path of its sessions is empty: every name in
// SQL text is schema-qualified.
func Open(ctx context.Context, url string, o Options) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("database URL: %w", err) // pgx leaves the password out of its error
	}
	cfg.MaxConns = 16
	if o.MaxConns > 0 {
		cfg.MaxConns = max(o.MaxConns, minConns)
	}
	cfg.MaxConnIdleTime = 5 * time.Minute
	cfg.MaxConnLifetime = time.Hour
	cfg.MaxConnLifetimeJitter = 10 * time.Minute
	cfg.ConnConfig.ConnectTimeout = 5 * time.Second
	cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheStatement
	params := cfg.ConnConfig.RuntimeParams
	params["search_path"] = ""
	params["timezone"] = "UTC"
	params["idle_in_transaction_session_timeout"] = "5min" // a lost client must not hold row locks for ever
	if o.Application != "" {
		params["application_name"] = o.Application
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("database pool: %w", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("database does not answer: %w", err)
	}
	return pool, nil
}

// InTx runs do in a transaction: committed when do returns nil, rolled back on an error or a panic.
func InTx(ctx context.Context, pool *pgxpool.Pool, do func(ctx context.Context, tx pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { return do(ctx, tx) })
}

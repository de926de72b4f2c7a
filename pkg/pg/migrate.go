package pg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// versionTable keeps, in each service's schema, which of its migrations ran.
const versionTable = "schema_version"

// Migrate brings a schema to the newest version of the embedded files (0001_name.sql, forward only) and of the
// job queue's tables. Replicas that start at once wait for each other.
func Migrate(ctx context.Context, pool *pgxpool.Pool, schema string, migrations fs.FS) error {
	err := locked(ctx, pool, schema, func() error {
		if err := createSchema(ctx, pool, schema); err != nil {
			return err
		}
		if err := migrateTables(ctx, pool, schema, migrations); err != nil {
			return err
		}
		return migrateQueue(ctx, pool, schema)
	})
	if err != nil {
		return fmt.Errorf("migrate schema %s: %w", schema, err)
	}
	return nil
}

// Migrated is nil when the schema is at the newest version this program knows, or past it: during an upgrade the
// old program runs on the new schema.
func Migrated(ctx context.Context, pool *pgxpool.Pool, schema string, migrations fs.FS) error {
	want, err := newest(migrations)
	if err != nil {
		return fmt.Errorf("migrations of schema %s: %w", schema, err)
	}
	queue, err := queueMigrator(pool, schema)
	if err != nil {
		return err
	}
	known := queue.AllVersions()
	wantQueue := int64(known[len(known)-1].Version)

	var have, haveQueue int64
	err = pool.QueryRow(ctx, fmt.Sprintf(
		`SELECT (SELECT coalesce(max(version_id), 0) FROM %s WHERE is_applied),
		        (SELECT coalesce(max(version), 0) FROM %s WHERE line = 'main')`,
		pgx.Identifier{schema, versionTable}.Sanitize(),
		pgx.Identifier{schema, "river_migration"}.Sanitize())).Scan(&have, &haveQueue)
	if err != nil {
		return fmt.Errorf("version of schema %s: %w", schema, err)
	}
	if have < want || haveQueue < wantQueue {
		return fmt.Errorf("schema %s is at version %d (queue %d), want %d (queue %d): run the migrate command",
			schema, have, haveQueue, want, wantQueue)
	}
	return nil
}

// locked holds a session advisory lock of the schema. The lock dies with its session, so a killed replica frees it.
func locked(ctx context.Context, pool *pgxpool.Pool, schema string, do func() error) error {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock(hashtextextended($1, 0))`, "opsdeck.migrate."+schema); err != nil {
		return fmt.Errorf("wait for another replica's migration: %w", err)
	}
	err = do()
	_, unlock := conn.Exec(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock(hashtextextended($1, 0))`, "opsdeck.migrate."+schema)
	return errors.Join(err, unlock)
}

// createSchema asks first: a role that owns its schema but may not create any is refused even IF NOT EXISTS.
func createSchema(ctx context.Context, pool *pgxpool.Pool, schema string) error {
	var exists bool
	err := pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1)`, schema).Scan(&exists)
	if err != nil || exists {
		return err
	}
	_, err = pool.Exec(ctx, `CREATE SCHEMA `+pgx.Identifier{schema}.Sanitize())
	return err
}

func migrateTables(ctx context.Context, pool *pgxpool.Pool, schema string, migrations fs.FS) (err error) {
	db := stdlib.OpenDBFromPool(pool)
	defer func() { err = errors.Join(err, db.Close()) }()
	provider, err := goose.NewProvider(goose.DialectPostgres, db, migrations,
		goose.WithTableName(schema+"."+versionTable), goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}

func migrateQueue(ctx context.Context, pool *pgxpool.Pool, schema string) error {
	queue, err := queueMigrator(pool, schema)
	if err != nil {
		return err
	}
	if _, err := queue.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("job queue: %w", err)
	}
	return nil
}

func queueMigrator(pool *pgxpool.Pool, schema string) (*rivermigrate.Migrator[pgx.Tx], error) {
	m, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Schema: schema, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, fmt.Errorf("job queue of schema %s: %w", schema, err)
	}
	return m, nil
}

func newest(migrations fs.FS) (int64, error) {
	names, err := fs.Glob(migrations, "*.sql")
	if err != nil {
		return 0, err
	}
	var version int64
	for _, name := range names {
		v, err := goose.NumericComponent(name)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		version = max(version, v)
	}
	return version, nil
}

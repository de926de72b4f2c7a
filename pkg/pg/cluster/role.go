package cluster

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// EnsureRole makes a login role with this password and a schema that it owns, or brings both to this state. Nobody
// else may use the schema.
func (c *Cluster) EnsureRole(ctx context.Context, role, password, schema string) (err error) {
	conn, err := pgx.Connect(ctx, c.SuperuserURL(Database))
	if err != nil {
		return fmt.Errorf("role %s: %w", role, err)
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if err := ensureLogin(ctx, tx, role, password); err != nil {
			return err
		}
		return ensureSchema(ctx, tx, role, schema)
	})
	if err != nil {
		return fmt.Errorf("role %s with schema %s: %w", role, schema, err)
	}
	return nil
}

func ensureLogin(ctx context.Context, tx pgx.Tx, role, password string) error {
	// A failing statement is logged with its text, and this one holds a password.
	if _, err := tx.Exec(ctx, `SET LOCAL log_min_error_statement = panic`); err != nil {
		return err
	}
	var statement string
	err := tx.QueryRow(ctx, `
		SELECT format(
			CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = $1)
			THEN 'ALTER ROLE %I LOGIN PASSWORD %L' ELSE 'CREATE ROLE %I LOGIN PASSWORD %L' END,
			$1::text, $2::text)`, role, password).Scan(&statement)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, statement)
	return err
}

func ensureSchema(ctx context.Context, tx pgx.Tx, role, schema string) error {
	owner, name := pgx.Identifier{role}.Sanitize(), pgx.Identifier{schema}.Sanitize()
	for _, statement := range []string{
		`REVOKE ALL ON DATABASE ` + Database + ` FROM PUBLIC`,
		`GRANT CONNECT ON DATABASE ` + Database + ` TO ` + owner,
		`REVOKE ALL ON SCHEMA public FROM PUBLIC`,
		`CREATE SCHEMA IF NOT EXISTS ` + name,
		`ALTER SCHEMA ` + name + ` OWNER TO ` + owner,
		`REVOKE ALL ON SCHEMA ` + name + ` FROM PUBLIC`,
	} {
		if _, err := tx.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

package pg

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/opsdeck/opsdeck/pkg/fault"
)

// SQLSTATEs that decide on their own; the others are decided by their class.
const (
	uniqueViolation     = "23505"
	exclusionViolation  = "23P01"
	foreignKeyViolation = "23503"
	notNullViolation    = "23502"
	checkViolation      = "23514"
	serializationFailed = "40001"
	deadlockDetected    = "40P01"
)

// Fault turns an error of the database into a fault with the reason and text given: no row is NotFound, a
// duplicate Conflict, a missing or still used row Precondition, a value the table refuses Invalid, a lost or
// overloaded server Unavailable. It decides by SQLSTATE only. Faults and a context's end pass through; every
// other error is wrapped, and is for the log.
func Fault(err error, reason, format string, args ...any) error {
	var known *fault.Fault
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return err
	case errors.Is(err, pgx.ErrNoRows):
		return fault.NotFound(reason, format, args...).Wrap(err)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), err)
	}
	var server *pgconn.PgError
	if errors.As(err, &server) {
		return serverFault(err, server, reason, fmt.Sprintf(format, args...))
	}
	if lost(err) {
		return fault.Unavailable("DATABASE_UNAVAILABLE", "the database cannot be reached; try again").Wrap(err)
	}
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), err)
}

func serverFault(err error, server *pgconn.PgError, reason, text string) error {
	switch code := server.Code; {
	case code == uniqueViolation, code == exclusionViolation:
		return fault.Conflict(reason, "%s", text).Wrap(err)
	case code == foreignKeyViolation:
		return fault.Precondition(reason, "%s", text).Wrap(err)
	case code == notNullViolation, code == checkViolation, class(code) == "22":
		return fault.Invalid(field(server), "%s", text).Wrap(err)
	case unavailable(code):
		return fault.Unavailable("DATABASE_UNAVAILABLE", "the database is busy or restarting; try again").Wrap(err)
	}
	return fmt.Errorf("%s: %w", text, err)
}

// field is the best name the server gives for the value it refused.
func field(server *pgconn.PgError) string {
	switch {
	case server.ColumnName != "":
		return server.ColumnName
	case server.ConstraintName != "":
		return server.ConstraintName
	}
	return "value"
}

// unavailable holds for states that pass: connection (08), resources (53), shutdown and start (57P), and the
// conflicts between transactions that a retry solves.
func unavailable(code string) bool {
	switch class(code) {
	case "08", "53":
		return true
	case "57":
		return len(code) == 5 && code[2] == 'P'
	}
	return code == serializationFailed || code == deadlockDetected
}

func lost(err error) bool {
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || pgconn.SafeToRetry(err)
}

func class(code string) string {
	if len(code) < 2 {
		return ""
	}
	return code[:2]
}

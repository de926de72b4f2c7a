// Package audit keeps who did what to servers, domains and records.
package audit

import (
	"context"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/opsdeck/opsdeck/pkg/pg"
	"github.com/opsdeck/opsdeck/pkg/rpc"
)

// What an operation is about.
const (
	Server = "server"
	Domain = "domain"
	Record = "record"
)

// What an operation does.
const (
	Added    = "add"
	Updated  = "update"
	Deleted  = "delete"
	Disabled = "disable"
	Enabled  = "enable"
)

// maxDetail bounds the text of an operation, in bytes; the values of records may be longer.
const maxDetail = 2048

// Operation is one row of the audit.
type Operation struct{ Target, Type, Detail string }

// Author is who did it, when, and in which tenant.
type Author struct {
	Tenant string // of the server
	User   string
	Name   string // tenant:username, or the name of a service
	At     time.Time
}

// Write writes operations down, in the transaction that makes them.
func Write(ctx context.Context, tx pgx.Tx, by Author, operations []Operation) error {
	call := rpc.FromContext(ctx)
	address := ""
	if call.Address != (netip.Addr{}) {
		address = call.Address.String()
	}
	_, err := tx.CopyFrom(ctx, pgx.Identifier{"dns", "operations"},
		[]string{"tenant", "op_target", "op_type", "op_detail", "op_time", "operator", "actor", "request_id", "address"},
		pgx.CopyFromSlice(len(operations), func(i int) ([]any, error) {
			o := operations[i]
			return []any{by.Tenant, o.Target, o.Type, shorten(o.Detail), by.At, by.User, by.Name, call.RequestID, address}, nil
		}))
	return pg.Fault(err, "AUDIT", "write to the audit")
}

func shorten(text string) string {
	if len(text) <= maxDetail {
		return text
	}
	return text[:maxDetail] // canonical records are ASCII
}

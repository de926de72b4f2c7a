// Package migrations holds the tables of the schema replication, numbered and forward only.
package migrations

import "embed"

// FS holds the files.
//
//go:embed *.sql
var FS embed.FS

// Package migrations holds the tables of the schema dns, numbered and forward only.
package migrations

import "embed"

// FS holds the files.
//
//go:embed *.sql
var FS embed.FS

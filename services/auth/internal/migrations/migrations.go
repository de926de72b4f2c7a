// Package migrations holds the schema of the auth service, one numbered file per step, forward only.
package migrations

import "embed"

// FS holds the files.
//
//go:embed *.sql
var FS embed.FS

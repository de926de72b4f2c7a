package mysql

import (
	"slices"
	"strings"
)

// QuoteIdent quotes the name of a schema, table or column.
func QuoteIdent(name string) string {
	return "`" + strings.ReplaceAll(name, "`", "``") + "`"
}

// QuoteTable quotes a schema-qualified table name.
func QuoteTable(schema, table string) string {
	return QuoteIdent(schema) + "." + QuoteIdent(table)
}

// AppendString appends s as a string literal in single quotes. It relies on a session in utf8mb4 without
// NO_BACKSLASH_ESCAPES, which Connect sets up: no byte of a multi-byte character is then a quote or a backslash.
func AppendString(dst, s []byte) []byte {
	dst = append(slices.Grow(dst, len(s)+2), '\'') // large values would be copied several times over while dst grows
	start := 0
	for i, b := range s {
		var escaped byte
		switch b {
		case 0:
			escaped = '0'
		case '\n':
			escaped = 'n'
		case '\r':
			escaped = 'r'
		case 0x1a:
			escaped = 'Z'
		case '\\', '\'':
			escaped = b
		default:
			continue
		}
		dst = append(dst, s[start:i]...)
		dst = append(dst, '\\', escaped)
		start = i + 1
	}
	dst = append(dst, s[start:]...)
	return append(dst, '\'')
}

// AppendBinary appends s as a literal of raw bytes: a column of any character set takes the bytes as they are.
func AppendBinary(dst, s []byte) []byte {
	return AppendString(append(dst, "_binary"...), s)
}

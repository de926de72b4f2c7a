package binlog

import (
	"encoding/binary"
)

// Session is what a query event says of the session that ran the statement.
type Session struct {
	// Schema is the default schema.
	Schema string
	// SQLMode is the bit set of sql_mode.
	SQLMode uint64
	// HasSQLMode and HasCharset say whether the event carried them.
	HasSQLMode, HasCharset bool
	// ClientCharset, ConnectionCollation and ServerCollation are collation ids.
	ClientCharset, ConnectionCollation, ServerCollation uint16
	// TimeZone is that of the session, "SYSTEM" for the server's; empty where it did not matter.
	TimeZone string
}

// ansiQuotes is MODE_ANSI_QUOTES of sql_mode.
const ansiQuotes = 4

// ANSIQuotes reports whether double quotes enclose identifiers.
func (s Session) ANSIQuotes() bool { return s.SQLMode&ansiQuotes != 0 }

// The codes of a query event's status variables, in the order in which the servers write them.
const (
	statusFlags2         = 0
	statusSQLMode        = 1
	statusCatalog        = 2
	statusAutoIncrement  = 3
	statusCharset        = 4
	statusTimeZone       = 5
	statusCatalogNZ      = 6
	statusCharsetLength  = 6
	statusSQLModeLength  = 8
	statusAutoIncrLength = 4
)

// parseSession reads the variables that matter. They come first; the scan ends at the first code that it does not know, as the
// length of that one is unknown.
func parseSession(schema string, vars []byte) Session {
	s := Session{Schema: schema}
	for len(vars) > 0 {
		code, rest := vars[0], vars[1:]
		n := statusLength(code, rest)
		if n < 0 || n > len(rest) {
			return s
		}
		switch code {
		case statusSQLMode:
			s.SQLMode, s.HasSQLMode = binary.LittleEndian.Uint64(rest), true
		case statusCharset:
			s.ClientCharset = binary.LittleEndian.Uint16(rest)
			s.ConnectionCollation = binary.LittleEndian.Uint16(rest[2:])
			s.ServerCollation = binary.LittleEndian.Uint16(rest[4:])
			s.HasCharset = true
		case statusTimeZone:
			s.TimeZone = string(rest[1:n])
		}
		vars = rest[n:]
	}
	return s
}

// statusLength is the length of a variable's value, -1 if it is unknown.
func statusLength(code byte, rest []byte) int {
	switch code {
	case statusFlags2:
		return 4
	case statusSQLMode:
		return statusSQLModeLength
	case statusAutoIncrement:
		return statusAutoIncrLength
	case statusCharset:
		return statusCharsetLength
	case statusTimeZone, statusCatalogNZ:
		if len(rest) > 0 {
			return 1 + int(rest[0])
		}
	case statusCatalog:
		if len(rest) > 0 {
			return 2 + int(rest[0]) // closed by a zero byte
		}
	}
	return -1
}

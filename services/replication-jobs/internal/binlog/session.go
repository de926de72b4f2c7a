package binlog

import (
	"bytes"
	"encoding/binary"
	"time"
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
	// Time is when the statement began, which is what it took for the present moment; to the second unless it asked for more.
	Time time.Time

	microseconds int64
}

// ansiQuotes is MODE_ANSI_QUOTES of sql_mode.
const ansiQuotes = 4

// ANSIQuotes reports whether double quotes enclose identifiers.
func (s Session) ANSIQuotes() bool { return s.SQLMode&ansiQuotes != 0 }

// The codes of a query event's status variables. MariaDB writes the collations, from 11.2 on, before the character sets; else the order is this.
const (
	statusFlags2         = 0
	statusSQLMode        = 1
	statusCatalog        = 2
	statusAutoIncrement  = 3
	statusCharset        = 4
	statusTimeZone       = 5
	statusCatalogNZ      = 6
	statusLocale         = 7
	statusCharsetDB      = 8
	statusTableMap       = 9
	statusDataWritten    = 10
	statusInvoker        = 11
	statusSchemas        = 12
	statusMicroseconds   = 13
	statusMariaDBMicro   = 128
	statusCollations     = 131
	statusCharsetLength  = 6
	statusSQLModeLength  = 8
	statusAutoIncrLength = 4
	// tooManySchemas says that the names of the schemas are left out.
	tooManySchemas = 254
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
		case statusMicroseconds, statusMariaDBMicro:
			s.microseconds = int64(rest[0]) | int64(rest[1])<<8 | int64(rest[2])<<16
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
	case statusLocale, statusCharsetDB:
		return 2
	case statusMicroseconds, statusMariaDBMicro:
		return 3
	case statusDataWritten:
		return 4
	case statusTableMap:
		return 8
	case statusCollations:
		if len(rest) > 0 {
			return 1 + 4*int(rest[0]) // pairs of a character set and its default collation
		}
	case statusInvoker:
		return invokerLength(rest)
	case statusSchemas:
		return schemasLength(rest)
	}
	return -1
}

// invokerLength is that of a user and a host, each behind its length.
func invokerLength(rest []byte) int {
	if len(rest) == 0 || 1+int(rest[0]) >= len(rest) {
		return -1
	}
	user := 1 + int(rest[0])
	return user + 1 + int(rest[user])
}

// schemasLength is that of a number and as many names, each closed by a zero byte.
func schemasLength(rest []byte) int {
	if len(rest) == 0 {
		return -1
	}
	n := 1
	for names := rest[0]; names > 0 && names < tooManySchemas; names-- {
		end := bytes.IndexByte(rest[n:], 0)
		if end < 0 {
			return -1
		}
		n += end + 1
	}
	return n
}

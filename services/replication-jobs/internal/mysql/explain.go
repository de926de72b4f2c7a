package mysql

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
)

// Error is a failure in words for the operator.
type Error struct {
	// Sentence says what is wrong and what to do.
	Sentence string
	// Permanent is set when trying again cannot help until somebody changes something.
	Permanent bool
	// Err is the cause, nil if there is none beyond the sentence.
	Err error
}

func (e *Error) Error() string {
	if e.Err == nil {
		return e.Sentence
	}
	return e.Sentence + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// Permanent reports whether trying again cannot help until somebody changes something.
func Permanent(err error) bool {
	var e *Error
	return errors.As(Explain(err), &e) && e.Permanent
}

// Code returns the server's error number in err, 0 if err is not an answer of a server.
func Code(err error) uint16 {
	var e *gomysql.MyError
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

// Explain puts a server's answer or a broken connection in words for the operator. What it does not know, and the end of a
// context, stays as it is.
func Explain(err error) error {
	var known *Error
	if err == nil || errors.As(err, &known) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if sentence, ok := refusals[Code(err)]; ok {
		return &Error{Sentence: sentence, Permanent: true, Err: err}
	}
	if disconnected(err) {
		return &Error{Sentence: "the connection to the server was lost", Err: err}
	}
	return err
}

// secureTransportRequired is MySQL's ER_SECURE_TRANSPORT_REQUIRED and MariaDB's, which the library does not name.
const secureTransportRequired = 3159

// unknownCollation is what MariaDB answers to definitions of MySQL 8, whose default is a collation that it lacks. None is put in its
// place: rows that are equal under one collation may differ under another.
const unknownCollation = "the target lacks the collation or character set of the definition (those of MySQL named utf8mb4_0900_..., for example): " +
	"create schema and tables there with one that it has, and set skip_create_db_table"

var refusals = map[uint16]string{
	gomysql.ER_NO_SUCH_TABLE:                "a table does not exist",
	gomysql.ER_BAD_DB_ERROR:                 "a schema does not exist",
	gomysql.ER_BAD_FIELD_ERROR:              "a column does not exist: source and target definitions differ",
	gomysql.ER_TABLEACCESS_DENIED_ERROR:     "the user lacks a privilege on a table",
	gomysql.ER_DBACCESS_DENIED_ERROR:        "the user lacks a privilege on a schema",
	gomysql.ER_SPECIFIC_ACCESS_DENIED_ERROR: "the user lacks a privilege",
	gomysql.ER_DISK_FULL:                    "the server's disk is full",
	gomysql.ER_RECORD_FILE_FULL:             "the server has no room left for the table: free space on its disk, or raise the limit of its tablespace",
	gomysql.ER_OPTION_PREVENTS_STATEMENT:    "the server is read-only: it does not take the statement",
	gomysql.ER_DUP_ENTRY:                    "a row exists already under the same key",
	gomysql.ER_DATA_TOO_LONG:                "a value does not fit its column: source and target definitions differ",
	gomysql.ER_TABLE_EXISTS_ERROR:           "a table exists already",
	gomysql.ER_UNKNOWN_COLLATION:            unknownCollation,
	gomysql.ER_UNKNOWN_CHARACTER_SET:        unknownCollation,
}

func disconnected(err error) bool {
	var netErr net.Error
	return errors.Is(err, gomysql.ErrBadConn) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.As(err, &netErr)
}

// explainConnect says why no session came about.
func explainConnect(cfg Config, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	var dns *net.DNSError
	switch code := Code(err); {
	case code == gomysql.ER_ACCESS_DENIED_ERROR || code == gomysql.ER_ACCESS_DENIED_NO_PASSWORD_ERROR:
		return &Error{Sentence: fmt.Sprintf("%s refuses user %q: check the user and its password", cfg.Addr(), cfg.User), Permanent: true, Err: err}
	case code == gomysql.ER_HOST_NOT_PRIVILEGED:
		return &Error{Sentence: fmt.Sprintf("%s lets nobody log in from this host: grant user %q access from it", cfg.Addr(), cfg.User), Permanent: true, Err: err}
	case code == gomysql.ER_CON_COUNT_ERROR:
		return &Error{Sentence: cfg.Addr() + " has no connection left: raise max_connections or close others", Err: err}
	case code == secureTransportRequired:
		return &Error{Sentence: fmt.Sprintf("%s wants TLS of user %q: set mysql_ssl_mode to required, or to a mode that verifies", cfg.Addr(), cfg.User), Permanent: true, Err: err}
	case errors.As(err, &dns):
		return &Error{Sentence: fmt.Sprintf("host %q is unknown: check its name", cfg.Host), Err: err}
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOENT):
		return &Error{Sentence: "nothing listens on " + cfg.Addr() + ": check host and port, and that the server runs", Err: err}
	}
	return &Error{Sentence: "cannot log in to " + cfg.Addr(), Err: err}
}

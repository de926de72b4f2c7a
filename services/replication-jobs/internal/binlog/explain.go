package binlog

import (
	"errors"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// hopeless are errors that reading again would meet again.
var hopeless = []error{ErrXA, ErrIncident, ErrRolledBack, ErrLateOrigin, errPartial, errCharset, ddl.ErrUnknown, ddl.ErrRowFormat}

// explain puts an error of the stream in words for the operator, unless it is already.
func explain(err error) error {
	var known *mysql.Error
	if errors.As(err, &known) {
		return err
	}
	if mysql.Code(err) == gomysql.ER_MASTER_FATAL_ERROR_READING_BINLOG {
		return &mysql.Error{
			Sentence: "the source cannot send its binary log from the job's position: it has purged that part, or has another history than the job has followed; " +
				"let a server answer in its place that has it, or let the job copy anew (POST /v2/job/{type}/full_copy)",
			Permanent: true, Err: err,
		}
	}
	for _, known := range hopeless {
		if errors.Is(err, known) {
			return &mysql.Error{Sentence: "the binary log holds what cannot be replicated", Permanent: true, Err: err}
		}
	}
	return mysql.Explain(err)
}

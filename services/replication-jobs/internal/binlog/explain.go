package binlog

import (
	"errors"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// hopeless are errors that reading again would meet again.
var hopeless = []error{ErrXA, ErrIncident, ErrRolledBack, errPartial, errCharset, ddl.ErrUnknown, ddl.ErrRowFormat}

// explain puts an error of the stream in words for the operator.
func explain(err error) error {
	if mysql.Code(err) == gomysql.ER_MASTER_FATAL_ERROR_READING_BINLOG {
		return &mysql.Error{
			Sentence:  "the source cannot send its binary log from the job's position; if it has purged that part, create the job anew",
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

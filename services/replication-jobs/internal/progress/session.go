package progress

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// maxSessions is how many sessions of one job may write at a time: those of a copy by 64 workers, and what an earlier run has left.
const maxSessions = 160

// Enlist marks the session as one of the job, for as long as it lasts.
func Enlist(c *mysql.Conn, jobID string) error {
	for _, mark := range marks(jobID) {
		r, err := c.Execute("SELECT GET_LOCK(?, 0)", mark)
		if err != nil {
			return fmt.Errorf("mark a session of the job: %w", mysql.Explain(err))
		}
		if got, err := r.GetInt(0, 0); err != nil {
			return fmt.Errorf("mark a session of the job: %w", err)
		} else if got == 1 {
			return nil
		}
	}
	return fmt.Errorf("the server has %d sessions of the job: wait for those of earlier runs to end, or kill them", maxSessions)
}

// EvictReaders ends the sessions of earlier runs at the job's source, whatever they do: a run that was cut off may have left one in the middle of a
// table, where it stands in the way of every ALTER TABLE, and that in the way of everybody else, until the server finds out that nobody reads any more.
func EvictReaders(c *mysql.Conn, jobID string) error {
	if err := end(c, jobID, ""); err != nil {
		return fmt.Errorf("end what an earlier run has left at the source: %w", mysql.Explain(err))
	}
	return nil
}

// evict ends the sessions of earlier runs that wait for a statement. The host of such a run may have vanished without a word to the
// server, which then keeps the session for hours, and with it the locks of a transaction under way. A statement that is being
// executed goes on: it ends by itself.
func evict(c *mysql.Conn, jobID string) error { return end(c, jobID, "command = 'Sleep' AND ") }

// end ends the marked sessions that meet a condition, which is empty or ends with AND.
func end(c *mysql.Conn, jobID, condition string) error {
	held := make([]string, maxSessions)
	for i, mark := range marks(jobID) {
		held[i] = "IS_USED_LOCK('" + mark + "')"
	}
	r, err := c.Execute("SELECT id FROM information_schema.processlist WHERE " + condition + "id IN (" + strings.Join(held, ", ") + ")")
	if err != nil {
		return err
	}
	for i := range r.RowNumber() {
		id, err := r.GetInt(i, 0)
		if err != nil {
			return err
		}
		_, err = c.Execute(fmt.Sprintf("KILL %d", id))
		switch mysql.Code(err) {
		case gomysql.ER_NO_SUCH_THREAD: // it has ended
		case gomysql.ER_KILL_DENIED_ERROR: // of the account that the job had before: the server ends it in time
		default:
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// marks are the names of the locks that sessions of the job hold, one each.
func marks(jobID string) []string {
	sum := sha256.Sum256([]byte(jobID))
	out := make([]string, maxSessions)
	for i := range out {
		out[i] = fmt.Sprintf("opsdeck-%s-%d", hex.EncodeToString(sum[:16]), i)
	}
	return out
}

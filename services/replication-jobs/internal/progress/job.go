package progress

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"time"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// ErrFenced says that a later run has claimed the job: this one must stop and write nothing more.
var ErrFenced = errors.New("another worker has taken over the job")

// Stage is how far a job has come.
type Stage string

// The stages of a job: a new one has no position yet; one in StageCopy reads snapshots; one in StageStream follows the binary log.
const (
	StageNew    Stage = "new"
	StageCopy   Stage = "copy"
	StageStream Stage = "stream"
)

// State is what the target knows of a job.
type State struct {
	Stage Stage
	// Position is the end of the last applied transaction in StageStream, and in StageCopy if some tables are copied again; zero before.
	Position mysql.Position
	// Transactions and Rows count what was applied from the binary log so far.
	Transactions, Rows int64
}

// Applied is what an applier commits along with rows.
type Applied struct {
	Position mysql.Position
	// SourceTime is when the last transaction was committed at the source.
	SourceTime time.Time
	// Transactions and Rows are added to the job's counters.
	Transactions, Rows int64
}

// Claim makes this run, by its epoch, the owner of the job and returns its state. It waits for a commit of the previous owner
// that is under way, and then ends its sessions that do nothing; after that the previous owner can write nothing. What is known of another incarnation, a deleted job
// of the same name, is forgotten.
func Claim(c *mysql.Conn, jobID, incarnation string, epoch int64) (State, error) {
	s, err := claim(c, jobID, incarnation, epoch)
	if err == nil {
		err = evict(c, jobID) // not before: whose sessions end is to find out why
	}
	if err != nil {
		return State{}, fmt.Errorf("claim the job on the target: %w", mysql.Explain(err))
	}
	return s, nil
}

// claim waits shortly for a commit of the previous owner. If that takes longer, its host may have vanished: what it has left idle is ended, and only what it
// has still under way waited for.
func claim(c *mysql.Conn, jobID, incarnation string, epoch int64) (State, error) {
	if _, err := c.Execute("SET SESSION innodb_lock_wait_timeout = " + commitPatience); err != nil {
		return State{}, err
	}
	s, err := take(c, jobID, incarnation, epoch)
	if _, err := c.Execute("SET SESSION innodb_lock_wait_timeout = DEFAULT"); err != nil {
		return State{}, err
	}
	if mysql.Code(err) != gomysql.ER_LOCK_WAIT_TIMEOUT {
		return s, err
	}
	if err := clearWay(c, jobID, epoch); err != nil {
		return State{}, err
	}
	return take(c, jobID, incarnation, epoch)
}

// commitPatience is how many seconds a commit of the previous owner may take before it is looked after.
const commitPatience = "1"

// take writes the epoch.
func take(c *mysql.Conn, jobID, incarnation string, epoch int64) (State, error) {
	s := State{Stage: StageNew}
	err := c.Transaction(func() error {
		// The insert comes first: to lock a row that is missing locks the place of other jobs' rows, too.
		if err := create(c, jobID, incarnation, epoch); err != nil {
			return err
		}
		r, err := c.Execute(`SELECT stage, log_file, log_pos, gtid_set, transactions, row_events, incarnation, epoch
			FROM opsdeck.replication_job WHERE job_id = ? FOR UPDATE`, jobID)
		if err != nil {
			return err
		}
		row := scanner{r: r}
		known := State{Stage: Stage(row.text(0)), Position: row.position(1), Transactions: row.int(4), Rows: row.int(5)}
		sameJob, owner := row.text(6) == incarnation, row.int(7)
		if row.err != nil || owner > epoch {
			return cmp.Or(row.err, ErrFenced)
		}
		if !sameJob {
			return errors.Join(forget(c, jobID), create(c, jobID, incarnation, epoch))
		}
		s = known
		if _, err := c.Execute(`DELETE FROM opsdeck.replication_ended WHERE job_id = ?`, jobID); err != nil {
			return err
		}
		_, err = c.Execute(`UPDATE opsdeck.replication_job SET epoch = ? WHERE job_id = ?`, epoch, jobID)
		return err
	})
	return s, err
}

// SetOrigin notes where the job's changes come from, for all that the run will write.
func SetOrigin(c *mysql.Conn, jobID string, epoch int64, name string) error {
	r, err := c.Execute(`UPDATE opsdeck.replication_job SET origin = ? WHERE job_id = ? AND epoch = ?`, name, jobID, epoch)
	if err != nil {
		return fmt.Errorf("record the job's source: %w", mysql.Explain(err))
	}
	if r.AffectedRows == 0 {
		return ErrFenced
	}
	return nil
}

// clearWay ends what earlier runs have left on the target, unless a later one owns the job.
func clearWay(c *mysql.Conn, jobID string, epoch int64) error {
	r, err := c.Execute(`SELECT 1 FROM opsdeck.replication_job WHERE job_id = ? AND epoch > ?`, jobID, epoch)
	if err != nil {
		return err
	}
	if r.RowNumber() > 0 {
		return ErrFenced
	}
	return evict(c, jobID)
}

// CheckOwner fails with ErrFenced if the job belongs to a later run. It locks nothing: it explains an error, and guards no write.
func CheckOwner(c *mysql.Conn, jobID string, epoch int64) error {
	r, err := c.Execute(`SELECT 1 FROM opsdeck.replication_job WHERE job_id = ? AND epoch = ?`, jobID, epoch)
	if err != nil {
		return fmt.Errorf("check the job's owner: %w", mysql.Explain(err))
	}
	if r.RowNumber() == 0 {
		return ErrFenced
	}
	return nil
}

// create adds the job's row unless there is one.
func create(c *mysql.Conn, jobID, incarnation string, epoch int64) error {
	_, err := c.Execute(`INSERT INTO opsdeck.replication_job
		(job_id, incarnation, epoch, stage, log_file, log_pos, gtid_set, source_time, transactions, row_events)
		VALUES (?, ?, ?, ?, '', 0, '', 0, 0, 0) ON DUPLICATE KEY UPDATE job_id = job_id`, jobID, incarnation, epoch, string(StageNew))
	return err
}

// Forget removes what the target knows of a deleted job, unless a new job of that name has claimed the place.
func Forget(c *mysql.Conn, jobID, incarnation string) error {
	err := c.Transaction(func() error {
		r, err := c.Execute(`SELECT 1 FROM opsdeck.replication_job WHERE job_id = ? AND incarnation = ? FOR UPDATE`, jobID, incarnation)
		if err != nil || r.RowNumber() == 0 {
			return err
		}
		return forget(c, jobID)
	})
	if code := mysql.Code(err); code == gomysql.ER_NO_SUCH_TABLE || code == gomysql.ER_BAD_DB_ERROR {
		return nil // no job has ever reached this target
	}
	if err != nil {
		return fmt.Errorf("remove the job's progress from the target: %w", mysql.Explain(err))
	}
	return nil
}

func forget(c *mysql.Conn, jobID string) error {
	for _, statement := range []string{
		`DELETE FROM opsdeck.replication_job WHERE job_id = ?`,
		`DELETE FROM opsdeck.replication_ddl WHERE job_id = ?`,
		`DELETE FROM opsdeck.replication_snapshot WHERE job_id = ?`,
		`DELETE FROM opsdeck.replication_table WHERE job_id = ?`,
		`DELETE FROM opsdeck.replication_chunk WHERE job_id = ?`,
		`DELETE FROM opsdeck.replication_mapping WHERE job_id = ?`,
		`DELETE FROM opsdeck.replication_conflict WHERE job_id = ?`,
		`DELETE FROM opsdeck.replication_object WHERE job_id = ?`,
		`DELETE FROM opsdeck.replication_ended WHERE job_id = ?`,
	} {
		if _, err := c.Execute(statement, jobID); err != nil {
			return err
		}
	}
	return nil
}

// Recorder writes a job's progress through one session. Unless said otherwise its methods run inside the transaction that the
// caller has open, and what they write stands or falls with it.
type Recorder struct {
	conn  *mysql.Conn
	jobID string
	epoch int64
	mark  *mysql.Stmt
	fence *mysql.Stmt
	chunk *mysql.Stmt
}

// NewRecorder prepares the statements on c, which the recorder uses but does not own.
func NewRecorder(c *mysql.Conn, jobID string, epoch int64) (*Recorder, error) {
	r := &Recorder{conn: c, jobID: jobID, epoch: epoch}
	for _, p := range []struct {
		into **mysql.Stmt
		text string
	}{
		{&r.mark, `UPDATE opsdeck.replication_job SET updated_at = CURRENT_TIMESTAMP(6) WHERE job_id = ? AND epoch = ?`},
		// A shared lock: chunks commit side by side, and a claim waits for them.
		{&r.chunk, `INSERT INTO opsdeck.replication_chunk (job_id, table_schema, table_name, chunk, last_key, row_count, origin)
			SELECT job_id, ?, ?, ?, ?, ?, origin FROM opsdeck.replication_job WHERE job_id = ? AND epoch = ? LOCK IN SHARE MODE`},
		{&r.fence, `SELECT epoch FROM opsdeck.replication_job WHERE job_id = ? AND epoch = ? LOCK IN SHARE MODE`},
	} {
		s, err := c.Prepare(p.text)
		if err != nil {
			return nil, fmt.Errorf("prepare to record progress: %w", mysql.Explain(err))
		}
		*p.into = s
	}
	return r, nil
}

// SavePosition stores what the transaction has applied; it fails with ErrFenced if the job belongs to a later run.
func (r *Recorder) SavePosition(a Applied) error {
	res, err := r.conn.Run(r.Position(a))
	if err != nil {
		return fmt.Errorf("store the position: %w", err)
	}
	if res.AffectedRows == 0 {
		return ErrFenced
	}
	return nil
}

// Position is the statement that stores what the transaction has applied. It finds one row, and none if the job belongs to a later run.
func (r *Recorder) Position(a Applied) []byte {
	s := append([]byte(nil), "UPDATE opsdeck.replication_job SET stage = 'stream', log_file = "...)
	s = mysql.AppendString(s, []byte(a.Position.File))
	s = strconv.AppendUint(append(s, ", log_pos = "...), uint64(a.Position.Offset), 10)
	s = mysql.AppendString(append(s, ", gtid_set = "...), []byte(a.Position.GTIDSet))
	s = strconv.AppendInt(append(s, ", source_time = "...), a.SourceTime.UnixMicro(), 10)
	s = strconv.AppendInt(append(s, ", transactions = transactions + "...), a.Transactions, 10)
	s = strconv.AppendInt(append(s, ", row_events = row_events + "...), a.Rows, 10)
	s = mysql.AppendString(append(s, ", updated_at = CURRENT_TIMESTAMP(6) WHERE job_id = "...), []byte(r.jobID))
	return strconv.AppendInt(append(s, " AND epoch = "...), r.epoch, 10)
}

// Mark puts the job's record, and with it the origin of the changes, into the transaction's log here: whoever reads that in parts must know
// before the first one ends. It fails with ErrFenced if the job belongs to a later run.
func (r *Recorder) Mark() error {
	res, err := r.mark.Execute(r.jobID, r.epoch)
	if err != nil {
		return fmt.Errorf("mark the transaction: %w", err)
	}
	if res.AffectedRows == 0 {
		return ErrFenced
	}
	return nil
}

// Fence fails with ErrFenced if the job belongs to a later run, and otherwise keeps it from being claimed until the transaction
// ends.
func (r *Recorder) Fence() error {
	res, err := r.fence.Execute(r.jobID, r.epoch)
	if err != nil {
		return fmt.Errorf("check the job's owner: %w", err)
	}
	if res.RowNumber() == 0 {
		return ErrFenced
	}
	return nil
}

// BeginStream records that the job follows the binary log, and the position behind which it does.
func (r *Recorder) BeginStream(at mysql.Position) error {
	res, err := r.conn.Execute(`UPDATE opsdeck.replication_job SET stage = ?, log_file = ?, log_pos = ?, gtid_set = ?
		WHERE job_id = ? AND epoch = ?`, string(StageStream), at.File, at.Offset, at.GTIDSet, r.jobID, r.epoch)
	if err != nil {
		return fmt.Errorf("store the stage %s: %w", StageStream, err)
	}
	if res.AffectedRows == 0 {
		return ErrFenced
	}
	return nil
}

// BeginCopy records that the job copies. Where it was in the binary log, if it was there before, stays.
func (r *Recorder) BeginCopy() error {
	res, err := r.conn.Execute(`UPDATE opsdeck.replication_job SET stage = ? WHERE job_id = ? AND epoch = ?`, string(StageCopy), r.jobID, r.epoch)
	if err != nil {
		return fmt.Errorf("store the stage %s: %w", StageCopy, err)
	}
	if res.AffectedRows == 0 {
		return ErrFenced
	}
	return nil
}

// End records that the job writes no more, until a run claims it again.
func (r *Recorder) End() error {
	if err := r.Fence(); err != nil {
		return err
	}
	if _, err := r.conn.Execute(`REPLACE INTO opsdeck.replication_ended (job_id) VALUES (?)`, r.jobID); err != nil {
		return fmt.Errorf("record the end of the job: %w", err)
	}
	return nil
}

// scanner reads typed values of a result's first row, or of row, and keeps the first error.
type scanner struct {
	r   *gomysql.Result
	row int
	err error
}

func (s *scanner) text(column int) string {
	v, err := s.r.GetString(s.row, column)
	s.err = errors.Join(s.err, err)
	return v
}

func (s *scanner) int(column int) int64 {
	v, err := s.r.GetInt(s.row, column)
	s.err = errors.Join(s.err, err)
	return v
}

// position reads the columns log_file, log_pos and gtid_set.
func (s *scanner) position(column int) mysql.Position {
	return mysql.Position{
		File:    s.text(column),
		Offset:  uint32(s.int(column + 1)),
		GTIDSet: s.text(column + 2),
	}
}

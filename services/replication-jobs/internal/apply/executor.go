package apply

import (
	"context"
	"errors"
	"fmt"
	"time"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

const (
	// attempts is how often a transaction that lost a deadlock, or waited too long for a lock, is tried.
	attempts   = 10
	retryDelay = 20 * time.Millisecond
)

// executor owns a session that writes.
type executor struct {
	applier  *Applier
	conn     *mysql.Conn
	recorder *progress.Recorder
	ready    chan struct{} // offered while there is nothing to do
	work     chan *unit
	rows     int64 // of the parts of a transaction under way
	found    conflicts
	stepwise bool   // the server does not take bursts
	text     []byte // of the last burst, to be written over
	guards   int64  // sent so far
}

func (e *executor) run(ctx context.Context) error {
	ready := e.ready
	for {
		select {
		case ready <- struct{}{}:
			ready = nil
		case u, open := <-e.work:
			if !open {
				return nil
			}
			if err := e.do(ctx, u); err != nil {
				return err
			}
			ready = e.ready
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// do executes a unit and lets those behind it have their turn.
func (e *executor) do(ctx context.Context, u *unit) error {
	begun := e.ahead(u)
	err := u.turn(ctx, func() {
		if begun {
			_ = e.conn.Rollback() // a session that cannot is broken, and fails at its next statement
			begun = false
		}
	})
	if err != nil {
		return err
	}
	if u.definition != nil {
		err = e.alone(u)
	} else {
		err = e.finish(ctx, u, begun)
	}
	if err != nil {
		return err
	}
	close(u.done)
	return nil
}

// ahead executes what a unit can do before its turn, unless that has come, and reports whether it is done. If it fails, for whatever reason,
// it is undone, and the unit begins again at its turn.
func (e *executor) ahead(u *unit) bool {
	if len(u.early) == 0 || u.before == nil || u.before.settled() {
		return false
	}
	if e.conn.Begin() == nil && e.each(u.early, e.execute) == nil {
		e.applier.ahead.Add(1)
		return true
	}
	_ = e.conn.Rollback() // a session that cannot is broken, and fails at its next statement
	return false
}

// finish executes what is left of a unit, whose turn it is. A transaction that finds locks of others in its way begins again.
func (e *executor) finish(ctx context.Context, u *unit, begun bool) error {
	for attempt := 1; ; attempt++ {
		err := e.attempt(u, begun)
		if err == nil {
			return nil
		}
		begun = false
		_ = e.conn.Rollback() // the error at hand tells more; Run ends the session, and with it the transaction
		if !contended(err) || !u.first || !u.last || attempt == attempts {
			return err
		}
		u.block()
		e.applier.cfg.Logger.Info("retrying a transaction", zap.Int("attempt", attempt), zap.Error(err))
		select {
		case <-time.After(time.Duration(attempt) * retryDelay):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// attempt executes a unit in one burst, or else statement by statement.
func (e *executor) attempt(u *unit, begun bool) error {
	if !e.bursts(u) {
		return e.apply(u, begun)
	}
	failed := e.burst(u, begun)
	if !errors.Is(failed, errStepwise) {
		return failed
	}
	if err := e.conn.Rollback(); err != nil {
		return fmt.Errorf("roll back: %w", mysql.Explain(err))
	}
	if err := e.apply(u, false); err != nil {
		return err
	}
	e.stepwise = true // what fails in a burst only fails because it is one
	e.applier.cfg.Logger.Info("the target takes transactions statement by statement", zap.Error(failed))
	return nil
}

// contended reports whether another session was in the way.
func contended(err error) bool {
	switch mysql.Code(err) {
	case gomysql.ER_LOCK_DEADLOCK, gomysql.ER_LOCK_WAIT_TIMEOUT:
		return true
	default:
		return false
	}
}

// apply executes a unit, or what was not executed ahead, and, when it is the last of its transaction, stores the position and commits.
func (e *executor) apply(u *unit, begun bool) error {
	if u.first {
		e.rows, e.found = 0, conflicts{}
	}
	if u.first && !begun {
		if err := e.conn.Begin(); err != nil {
			return fmt.Errorf("begin a transaction: %w", mysql.Explain(err))
		}
		if err := e.each(u.early, e.certain); err != nil {
			return err
		}
	}
	if u.first && u.large {
		if err := e.recorder.Mark(); err != nil {
			return err
		}
	}
	if err := e.each(u.statements, e.certain); err != nil {
		return err
	}
	if err := e.store(); err != nil {
		return err
	}
	e.found.left = nil
	e.rows += u.applied.Rows
	if !u.last {
		return nil
	}
	applied := u.applied
	applied.Rows = e.rows
	if err := e.recorder.SavePosition(applied); err != nil {
		return err
	}
	if err := e.conn.Commit(); err != nil {
		return fmt.Errorf("commit: %w", mysql.Explain(err))
	}
	e.applier.count(applied)
	e.applier.tell(e.found)
	return nil
}

func (e *executor) each(statements []statement, execute func(*statement) error) error {
	for i := range statements {
		s := &statements[i]
		if err := execute(s); err != nil {
			if contended(err) {
				s.table.contended.Store(true)
			}
			return err
		}
	}
	return nil
}

func (a *Applier) count(applied progress.Applied) {
	a.transactions.Add(applied.Transactions)
	a.rows.Add(applied.Rows)
	a.commits.Add(1)
	a.applied.Store(&applied)
}

func (e *executor) execute(s *statement) error {
	if !s.cascades {
		return e.write(s)
	}
	if _, err := e.conn.Execute("SET SESSION foreign_key_checks = 1"); err != nil {
		return fmt.Errorf("switch foreign keys on: %w", mysql.Explain(err))
	}
	err := e.write(s)
	// Also after an error: the transaction may be tried again in this session.
	if _, off := e.conn.Execute("SET SESSION foreign_key_checks = 0"); err == nil && off != nil {
		return fmt.Errorf("switch foreign keys off: %w", mysql.Explain(off))
	}
	return err
}

func (e *executor) write(s *statement) error {
	r, err := e.conn.Run(s.text)
	if err != nil {
		return fmt.Errorf("%s rows of table %s: %w", s.what, s.table, mysql.Explain(err))
	}
	if r.Warnings > 0 {
		if err := e.warnings(s); err != nil {
			return err
		}
	}
	if s.want >= 0 && int64(r.AffectedRows) != s.want {
		return errMissing
	}
	return nil
}

// warnings makes an error of a value that the server changed to fit its column.
func (e *executor) warnings(s *statement) error {
	r, err := e.conn.Execute("SHOW WARNINGS")
	if err != nil {
		return fmt.Errorf("read the warnings: %w", mysql.Explain(err))
	}
	for row := range r.RowNumber() {
		code, err := r.GetUint(row, 1)
		if err != nil {
			return fmt.Errorf("read the warnings: %w", err)
		}
		message, err := r.GetString(row, 2)
		if err != nil {
			return fmt.Errorf("read the warnings: %w", err)
		}
		if code == gomysql.WARN_DATA_TRUNCATED && s.emptyEnum {
			continue
		}
		return &mysql.Error{Permanent: true, Sentence: fmt.Sprintf(
			"table %s does not take a value of the source as it is (%s): make the definitions equal", s.table, message)}
	}
	return nil
}

// mismatch names a row that should be at the target and is not. The transaction is undone first, as the statement has removed the
// rows that it found.
func (e *executor) mismatch(s *statement) error {
	if err := e.conn.Rollback(); err != nil {
		return fmt.Errorf("roll back: %w", mysql.Explain(err))
	}
	if len(s.table.key) == 0 {
		return e.conflict(s, "unnamed, as the table has no key")
	}
	for _, condition := range s.keys {
		r, err := e.conn.Execute("SELECT 1 FROM " + s.table.name + " WHERE " + condition + " LIMIT 1")
		if err != nil {
			return fmt.Errorf("look for the missing row: %w", mysql.Explain(err))
		}
		if r.RowNumber() == 0 {
			return e.conflict(s, condition)
		}
	}
	return e.conflict(s, "unknown: it may have been changed in between")
}

func (e *executor) conflict(s *statement, row string) error {
	return &mysql.Error{Permanent: true, Sentence: fmt.Sprintf(
		"table %s: the row to %s is not at the target, row %s: the target was changed by others; repair it or create the job anew", s.table, s.what, row)}
}

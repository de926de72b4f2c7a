package apply

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// burstBytes bounds the text of a burst. What takes longer to execute than to send gains nothing by it.
const burstBytes = 64 << 10

// errStepwise says that a burst has changed nothing for a reason that shows statement by statement.
var errStepwise = errors.New("a burst has failed")

// bursts reports whether a unit may be executed as a burst: a whole transaction of statements that are judged by the numbers of their rows
// and by having no warnings.
func (e *executor) bursts(u *unit) bool {
	if e.stepwise || !u.first || !u.last || u.large || e.applier.cfg.Conflicts.resolves() {
		return false
	}
	size := 0
	for _, statements := range [][]statement{u.early, u.statements} {
		for i := range statements {
			size += len(statements[i].text)
			if statements[i].cascades || statements[i].emptyEnum {
				return false
			}
		}
	}
	return size < min(burstBytes, e.conn.MaxAllowedPacket/2)
}

// burst executes a transaction, or what was not executed ahead, with its position and its COMMIT in one round trip. A guard behind each
// statement fails unless that has found as many rows as it should, without a warning; the server stops at the first failure and commits
// nothing.
func (e *executor) burst(u *unit, begun bool) error {
	if err := e.conn.AllowBatches(true); err != nil {
		return errors.Join(errStepwise, err)
	}
	text, all := e.text[:0], u.statements
	if !begun {
		text = append(text, "START TRANSACTION;"...)
		all = slices.Concat(u.early, u.statements)
	}
	guards := e.guards
	guard := func(want int64) {
		e.guards++
		text = appendGuard(text, want, e.guards)
	}
	for i := range all {
		text = append(append(text, all[i].text...), ';')
		guard(all[i].want)
	}
	text = append(append(text, e.recorder.Position(u.applied)...), ';')
	guard(1)
	text = append(text, "COMMIT"...)
	e.text = text

	err := e.conn.RunBatch(text)
	if err == nil {
		e.applier.count(u.applied)
		return nil
	}
	if mysql.Code(err) == 0 {
		return fmt.Errorf("change rows: %w", err) // the session broke: nobody knows whether it has committed
	}
	fitted, unknown := e.fitted(guards)
	switch {
	case unknown != nil:
		return errors.Join(fmt.Errorf("change rows: %w", mysql.Explain(err)), unknown)
	case fitted > len(all):
		return fmt.Errorf("commit: %w", mysql.Explain(err))
	case contended(err):
		if fitted < len(all) {
			all[fitted].table.contended.Store(true)
		}
		return fmt.Errorf("change rows: %w", mysql.Explain(err))
	default:
		return errors.Join(errStepwise, err)
	}
}

// fitted is how many statements of a burst that failed have passed their guards, of which so many were sent before.
func (e *executor) fitted(before int64) (int, error) {
	r, err := e.conn.Execute("SELECT IFNULL(@opsdeck_fits, 0)")
	if err != nil {
		return 0, fmt.Errorf("ask how far a transaction went: %w", mysql.Explain(err))
	}
	last, err := r.GetInt(0, 0)
	if err != nil {
		return 0, fmt.Errorf("ask how far a transaction went: %w", err)
	}
	return int(max(0, last-before)), nil
}

// appendGuard appends a statement that fails, as its number is too large, unless the one before has found so many rows, -1 for any number,
// without a warning. It leaves the number n, above 0, by which it is known how far a burst has come.
func appendGuard(text []byte, want, n int64) []byte {
	text = append(text, "SET @opsdeck_fits = ~0 * (@@warning_count > 0"...)
	if want >= 0 {
		text = strconv.AppendInt(append(text, " OR ROW_COUNT() <> "...), want, 10)
	}
	return append(strconv.AppendInt(append(text, ") + "...), n, 10), ';')
}

// alone executes a definition, whose text comes from elsewhere, in a session that takes one statement at a time.
func (e *executor) alone(u *unit) error {
	if err := e.conn.AllowBatches(false); err != nil {
		return fmt.Errorf("prepare the session for a definition: %w", mysql.Explain(err))
	}
	return e.define(u)
}

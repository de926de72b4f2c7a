package ddl

import (
	"errors"
	"fmt"
)

// Decision is what an operator wants done about the one statement that a job cannot carry over.
type Decision struct {
	// Position is where the statement ends in the source's binary log, as file:offset.
	Position string
	// Replacement is executed on the target instead of it, in the target's names; "" to leave the statement out.
	Replacement string
}

// ErrNotOne is wrapped by the error for a replacement that is not one definition of tables or schemas.
var ErrNotOne = errors.New("a replacement must be one CREATE, ALTER, DROP, TRUNCATE or RENAME of tables, indexes or a schema, with every table named together with its schema")

// ParseReplacement reads a statement that an operator wants executed on the target. It names everything in full: there is no session to
// take a schema from.
func ParseReplacement(text string) (Statement, error) {
	s, err := Parse(text, Session{})
	switch {
	case errors.Is(err, ErrRowFormat), err == nil && s.Kind == Ignored:
		return Statement{}, ErrNotOne
	case err != nil:
		return Statement{}, fmt.Errorf("%w: %w", ErrNotOne, err)
	}
	for _, t := range scan(s.Text, false) {
		if t.isSign(';') {
			return Statement{}, ErrNotOne
		}
	}
	return s, nil
}

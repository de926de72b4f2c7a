package ddl

import (
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
)

// Decision is what an operator wants done about the one statement that a job cannot carry over.
type Decision struct {
	// Position is where the statement ends in the source's binary log, as file:offset, or an ObjectPlace.
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

// objectPlace is the file of an object's place.
const objectPlace = "object"

// ObjectPlace is where a job stands at an object that its copy has brought, in the form of a position, by the definition of the object.
func ObjectPlace(kind, schema, name string, definition []byte) string {
	return fmt.Sprintf("%s:%d", objectPlace, crc32.ChecksumIEEE(fmt.Appendf(nil, "%q %q %q %q", kind, schema, name, definition)))
}

// AtObject reports whether a position is the place of an object.
func AtObject(position string) bool { return strings.HasPrefix(position, objectPlace+":") }

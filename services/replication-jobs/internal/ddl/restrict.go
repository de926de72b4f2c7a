package ddl

import (
	"errors"
	"fmt"
	"strings"
)

// ErrEnters is wrapped by the error for a table that a rename brings into the selection: its rows were never copied.
var ErrEnters = errors.New("a rename brings a table into the replicated selection, whose rows were never copied; create the job anew")

// Selection decides which schemas and tables are replicated.
type Selection interface {
	Schema(name string) bool
	Table(schema, table string) bool
}

// Restrict returns what of the statement is to be executed for the selection; ok is false when nothing of it is.
func (s Statement) Restrict(selection Selection) (restricted Statement, ok bool, err error) {
	switch s.Kind {
	case Ignored:
		return s, false, nil
	case CreateDatabase, AlterDatabase, DropDatabase:
		return s, selection.Schema(s.Schema), nil
	case DropTable:
		return s.restrictDrop(selection)
	case RenameTable:
		return s.restrictRename(selection)
	case AlterTable:
		return s.restrictAlter(selection)
	default:
		return s, selection.Table(s.Tables[0].Schema, s.Tables[0].Table), nil
	}
}

func (s Statement) restrictDrop(selection Selection) (Statement, bool, error) {
	var kept []Name
	for _, name := range s.Tables {
		if selection.Table(name.Schema, name.Table) {
			kept = append(kept, name)
		}
	}
	if len(kept) == len(s.Tables) || len(kept) == 0 {
		return s, len(kept) > 0, nil
	}
	s.Tables, s.Default, s.Text = kept, "", "DROP TABLE "
	if s.ifExists {
		s.Text += "IF EXISTS "
	}
	s.Text += joined(kept)
	return s, true, nil
}

// restrictRename keeps the pairs that start inside the selection. A chain of pairs is followed, so that a swap of two selected
// tables through a name outside it is kept whole.
func (s Statement) restrictRename(selection Selection) (Statement, bool, error) {
	inside := map[Name]bool{}
	in := func(name Name) bool {
		state, known := inside[name]
		return state || (!known && selection.Table(name.Schema, name.Table))
	}
	var kept []Rename
	for _, pair := range s.Renames {
		if !in(pair.From) {
			if selection.Table(pair.To.Schema, pair.To.Table) {
				return s, false, fmt.Errorf("%w: %s becomes %s", ErrEnters, pair.From, pair.To)
			}
			continue
		}
		inside[pair.From], inside[pair.To] = false, true
		kept = append(kept, pair)
	}
	if len(kept) == len(s.Renames) || len(kept) == 0 {
		return s, len(kept) > 0, nil
	}
	s.Renames, s.Tables, s.Default = kept, nil, ""
	pairs := make([]string, len(kept))
	for i, pair := range kept {
		pairs[i] = pair.From.String() + " TO " + pair.To.String()
		s.Tables = append(s.Tables, pair.From, pair.To)
	}
	s.Text = "RENAME TABLE " + strings.Join(pairs, ", ")
	return s, true, nil
}

func (s Statement) restrictAlter(selection Selection) (Statement, bool, error) {
	if selection.Table(s.Tables[0].Schema, s.Tables[0].Table) {
		return s, true, nil
	}
	for _, pair := range s.Renames {
		if selection.Table(pair.To.Schema, pair.To.Table) {
			return s, false, fmt.Errorf("%w: %s becomes %s", ErrEnters, pair.From, pair.To)
		}
	}
	for _, name := range s.Tables[1:] {
		if selection.Table(name.Schema, name.Table) {
			return s, false, fmt.Errorf("%w: table %s outside the selection exchanges rows with %s inside it", ErrUnknown, s.Tables[0], name)
		}
	}
	return s, false, nil
}

func joined(names []Name) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = name.String()
	}
	return strings.Join(quoted, ", ")
}

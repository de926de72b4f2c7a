package progress

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// Mode says how an event is to be applied after a copy.
type Mode int

const (
	// Strict events find the target exactly as the source was: a missing or an existing row is an error.
	Strict Mode = iota
	// Idempotent events touch rows of which some were copied before and some after the event: an insert or update
	// replaces, a missing row to delete is fine.
	Idempotent
	// Skip events are in the copy already.
	Skip
)

// Handover knows from which snapshots each table was copied, and thus how to apply what the binary log says of it. The nil
// Handover, and one that has passed, says Strict of everything.
type Handover struct {
	flavor mysql.Flavor
	rest   window
	tables map[ddl.Name]window
}

// window runs from the first snapshot that a table was copied from to the last.
type window struct{ from, until mysql.Point }

// Point parses the place of a transaction: its own GTID, and where it ends.
func (h *Handover) Point(gtid string, end mysql.Position) (mysql.Point, error) {
	return mysql.ParsePoint(h.flavor, mysql.Position{File: end.File, Offset: end.Offset, GTIDSet: gtid})
}

// Mode says how to apply an event of a table, a row change or a DDL statement alike. Tables that no snapshot saw were created later
// than the last one, or dropped before it: what happened to them before it does not matter.
func (h *Handover) Mode(schema, table string, at mysql.Point) Mode {
	if h == nil {
		return Strict
	}
	w, ok := h.tables[ddl.Name{Schema: schema, Table: table}]
	if !ok {
		w = h.rest
	}
	switch {
	case w.from.Covers(at):
		return Skip
	case w.until.Covers(at):
		return Idempotent
	}
	return Strict
}

// Schema says how to apply a DDL statement of a whole schema.
func (h *Handover) Schema(at mysql.Point) Mode {
	if h != nil && h.rest.until.Covers(at) {
		return Skip
	}
	return Strict
}

// Copied returns the tables of the copy, sorted.
func (h *Handover) Copied() []ddl.Name {
	out := slices.Collect(maps.Keys(h.tables))
	slices.SortFunc(out, func(a, b ddl.Name) int {
		return cmp.Or(strings.Compare(a.Schema, b.Schema), strings.Compare(a.Table, b.Table))
	})
	return out
}

// Behind returns the copied tables of a schema that events at a place change, sorted.
func (h *Handover) Behind(schema string, at mysql.Point) []ddl.Name {
	return slices.DeleteFunc(h.Copied(), func(n ddl.Name) bool { return n.Schema != schema || h.Mode(n.Schema, n.Table, at) == Skip })
}

// Reached reports whether a position holds all that the snapshots show.
func (h *Handover) Reached(p mysql.Position) (bool, error) {
	if h == nil {
		return true, nil
	}
	at, err := mysql.ParsePoint(h.flavor, p)
	return err == nil && at.Covers(h.rest.until), err
}

// Passed reports whether at lies behind all snapshots, so that everything from there on is Strict.
func (h *Handover) Passed(at mysql.Point) bool {
	return h == nil || !h.rest.until.Covers(at)
}

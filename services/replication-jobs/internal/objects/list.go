// Package objects brings what a schema has besides base tables to the target: views, triggers, routines, events and sequences.
package objects

import (
	"fmt"
	"slices"
	"strings"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// Kind is a kind of objects, as a job asks for it.
type Kind string

// The kinds that a job may ask for. Packages of MariaDB are routines.
const (
	Sequences Kind = "sequences"
	Routines  Kind = "routines"
	Views     Kind = "views"
	Triggers  Kind = "triggers"
	Events    Kind = "events"
	// versioned are MariaDB's system-versioned tables, which no job can ask for.
	versioned Kind = "system-versioned tables"
)

// Kinds are those that a configuration names, which its rules have checked.
func Kinds(names []string) []Kind {
	out := make([]Kind, len(names))
	for i, name := range names {
		out[i] = Kind(name)
	}
	return out
}

// Object names an object.
type Object struct {
	Kind Kind
	// Type is the word for it in SQL: SEQUENCE, FUNCTION, PROCEDURE, PACKAGE, PACKAGE BODY, VIEW, TRIGGER or EVENT.
	Type         string
	Schema, Name string
}

// String is schema.name, for messages.
func (o Object) String() string { return o.Schema + "." + o.Name }

// queries list schema, name, type, and the table that decides whether the object is chosen: its own name for what is read like a table, that of
// a trigger's table; what has none is chosen with its schema. They are in the order in which the kinds are created.
var queries = []struct {
	kind Kind
	text string
}{
	{Sequences, `SELECT table_schema, table_name, 'SEQUENCE', table_name FROM information_schema.tables WHERE table_type = 'SEQUENCE' ORDER BY 1, 2`},
	{Routines, `SELECT routine_schema, routine_name, routine_type, '' FROM information_schema.routines ORDER BY 1, routine_type, 2`},
	{Views, `SELECT table_schema, table_name, 'VIEW', table_name FROM information_schema.tables WHERE table_type = 'VIEW' ORDER BY 1, 2`},
	{Triggers, `SELECT trigger_schema, trigger_name, 'TRIGGER', event_object_table FROM information_schema.triggers
		ORDER BY 1, event_object_table, action_timing, event_manipulation, action_order`},
	{Events, `SELECT event_schema, event_name, 'EVENT', '' FROM information_schema.events ORDER BY 1, 2`},
	{versioned, `SELECT table_schema, table_name, 'TABLE', table_name FROM information_schema.tables WHERE table_type = 'SYSTEM VERSIONED' ORDER BY 1, 2`},
}

// Chosen decides about schemas, and about tables and what belongs to them.
type Chosen interface {
	Schema(name string) bool
	Table(schema, table string) bool
}

// List reads the chosen objects that a server has, as far as the session's account may see them, in the order in which they can be created.
func List(c *mysql.Conn, chosen Chosen) ([]Object, error) {
	var out []Object
	for _, q := range queries {
		r, err := c.Execute(q.text)
		if err != nil {
			return nil, fmt.Errorf("list the %s: %w", q.kind, mysql.Explain(err))
		}
		for i := range r.RowNumber() {
			var row [4]string
			for j := range row {
				if row[j], err = r.GetString(i, j); err != nil {
					return nil, err
				}
			}
			if chosen.Schema(row[0]) && (row[3] == "" || chosen.Table(row[0], row[3])) {
				out = append(out, Object{Kind: q.kind, Type: row[2], Schema: row[0], Name: row[1]})
			}
		}
	}
	return out, nil
}

// named is how many objects of a kind Describe names.
const named = 10

// Describe counts objects by kind and names the first ones, as in "2 views (shop.a, shop.b), 1 triggers (shop.t)".
func Describe(all []Object) string {
	var parts []string
	for _, q := range queries {
		var names []string
		for _, o := range all {
			if o.Kind == q.kind {
				names = append(names, o.String())
			}
		}
		count := len(names)
		if count == 0 {
			continue
		}
		if count > named {
			names = append(slices.Clone(names[:named]), "...")
		}
		parts = append(parts, fmt.Sprintf("%d %s (%s)", count, q.kind, strings.Join(names, ", ")))
	}
	return strings.Join(parts, ", ")
}

// Except leaves out the kinds.
func Except(all []Object, kinds []Kind) []Object {
	return slices.DeleteFunc(slices.Clone(all), func(o Object) bool { return slices.Contains(kinds, o.Kind) })
}

// Only leaves the kinds.
func Only(all []Object, kinds []Kind) []Object {
	return slices.DeleteFunc(slices.Clone(all), func(o Object) bool { return !slices.Contains(kinds, o.Kind) })
}

package ddl

import (
	"strings"
)

// Kind says what a statement does.
type Kind uint8

// The kinds of statement. Ignored ones (views, routines, users, maintenance) are not replicated; the rest change tables or schemas.
const (
	Ignored Kind = iota
	CreateDatabase
	AlterDatabase
	DropDatabase
	CreateTable
	AlterTable
	DropTable
	TruncateTable
	RenameTable
	CreateIndex
	DropIndex
	// DefineObject is what Object.Target makes of a statement about a view, trigger, routine or event.
	DefineObject
)

// Name is a table with its schema, resolved against the session's default schema.
type Name struct {
	Schema, Table string
}

// String is the name as it is written in SQL, quoted.
func (n Name) String() string {
	return quote(n.Schema) + "." + quote(n.Table)
}

// Rename is one pair of RENAME TABLE or of ALTER TABLE ... RENAME.
type Rename struct {
	From, To Name
}

// Statement is one definition statement.
type Statement struct {
	Kind Kind
	// First is executed before Text, "" for nothing.
	First string
	// Text is what the source executed.
	Text string
	// What names the object of an ignored statement, "view" or "user"; it is empty where there is nothing to miss at the target, as
	// with maintenance and temporary tables.
	What string
	// Objects are the views, triggers, routines or events that an ignored statement names.
	Objects []Name
	// Schema is the schema of a database statement.
	Schema string
	// Tables are all tables that the statement changes; for renames both names of every pair.
	Tables []Name
	// Like is the model of CREATE TABLE ... LIKE.
	Like *Name
	// Renames are the pairs in order.
	Renames []Rename
	// Default is the schema that the text needs as the session's default, empty when all its names are qualified.
	Default string
	// Replaces is set for CREATE OR REPLACE.
	Replaces bool

	ifExists, ifNotExists bool
	session               Session
}

// IfNotExists reports whether the statement does nothing where its object exists.
func (s Statement) IfNotExists() bool { return s.ifNotExists }

// IfExists reports whether the statement does nothing where its object does not exist.
func (s Statement) IfExists() bool { return s.ifExists }

// Repeatable says that executing the statement a second time, directly after the first, has the same result or fails with one of
// the errors that say it was done already.
func (s Statement) Repeatable() bool {
	switch s.Kind {
	case CreateDatabase, AlterDatabase, DropDatabase, DropTable, TruncateTable, DefineObject:
		return true
	case CreateTable:
		return s.Replaces
	default:
		return false
	}
}

func quote(name string) string {
	return "`" + strings.ReplaceAll(name, "`", "``") + "`"
}

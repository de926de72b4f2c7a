// Package matrix lists the column types and the definition statements that tests replicate in every way there is, and that docs/replication.md
// shows.
package matrix

import (
	"regexp"
	"slices"
	"strings"
)

// Type is a type of column with values.
type Type struct {
	// Column is the type as a definition has it.
	Column string
	// Schema is that of the field in Debezium's messages, without what it says of optional and field.
	Schema string
	Values []Value
}

// Value is a value of a column.
type Value struct {
	// SQL is its literal.
	SQL string
	// JSON is what Debezium's documentation makes of it, computed by hand; empty where nobody has.
	JSON string
}

// Refused stands in the place of the JSON of a value that no message holds unless the job asks for another form of it.
const Refused = "refused"

// Types returns all of them.
func Types() []Type { return slices.Concat(numbers, times, texts, others) }

var (
	ofMariaDB = regexp.MustCompile(`UUID|INET|uca1400|nopad|SEQUENCE|NEXTVAL|OR REPLACE (TABLE|TRIGGER|PROCEDURE)|ONLINE|SET STATEMENT|TO PUBLIC`)
	ofMySQL   = regexp.MustCompile(`_0900_|AS JSON|SRID|\(\(|ALTER INDEX|ALTER COLUMN|ALTER CHECK|GROUPING|TABLESPACE|SECONDARY_ENGINE_ATTRIBUTE`)
)

// Family is the only family of servers that knows what a column or a statement names: "MariaDB", "MySQL", or "" where both do.
func Family(text string) string {
	switch {
	case ofMariaDB.MatchString(text):
		return "MariaDB"
	case ofMySQL.MatchString(text):
		return "MySQL"
	}
	return ""
}

// Without an index of all their bytes, these cannot be a key.
var unbounded = regexp.MustCompile("BLOB|TEXT|JSON|GEOMETRY|POINT|LINESTRING")

// Key returns the type as a column of a primary key has it, and whether it can be one.
func (t Type) Key() (column string, ok bool) {
	column, _ = strings.CutSuffix(t.Column, " NULL")
	column, _ = strings.CutSuffix(column, " NOT")
	return column + " NOT NULL", !unbounded.MatchString(t.Column)
}

var (
	floating = regexp.MustCompile("^(FLOAT|DOUBLE)")
	printed  = regexp.MustCompile("^(TINYINT|SMALLINT|MEDIUMINT|INT|BIGINT|BOOLEAN|DECIMAL|YEAR|DATE|TIME)")
)

// Text is the expression over a column v by which a server shows each value in another way.
func (t Type) Text() string {
	switch {
	case floating.MatchString(t.Column):
		return "CAST(v * 1e0 AS CHAR)"
	case printed.MatchString(t.Column):
		return "CAST(v AS CHAR)"
	}
	return "HEX(v)"
}

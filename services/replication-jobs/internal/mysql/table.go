package mysql

import "slices"

// Table is the definition of a base table.
type Table struct {
	Schema, Name string
	// Columns are in the order of the table's definition, invisible and generated ones included.
	Columns []Column
	// PrimaryKey holds indexes into Columns, in key order; empty without a primary key.
	PrimaryKey []int
	// UniqueKeys are the other unique keys over whole columns.
	UniqueKeys [][]int
	// Engine is the storage engine, for example InnoDB.
	Engine string
	// RowsEstimate is the server's statistic, which may be far off.
	RowsEstimate int64
}

// Column is the definition of a column.
type Column struct {
	Name string
	// DataType is the bare type in lower case, for example bigint.
	DataType string
	// ColumnType is the full type, for example bigint(20) unsigned.
	ColumnType string
	Unsigned   bool
	Nullable   bool
	// Generated columns are computed by the server and take no value.
	Generated bool
	Invisible bool
	// Charset and Collation are empty for types without one.
	Charset, Collation string
}

// Key returns the columns that tell rows apart: the primary key, else the first unique key without nullable columns, else nil.
func (t *Table) Key() []int {
	if len(t.PrimaryKey) > 0 {
		return t.PrimaryKey
	}
	for _, key := range t.UniqueKeys {
		if !slices.ContainsFunc(key, func(i int) bool { return t.Columns[i].Nullable }) {
			return key
		}
	}
	return nil
}

// Column returns the index of the named column, -1 if there is none.
func (t *Table) Column(name string) int {
	return slices.IndexFunc(t.Columns, func(c Column) bool { return c.Name == name })
}

// String returns schema.table, for messages.
func (t *Table) String() string { return t.Schema + "." + t.Name }

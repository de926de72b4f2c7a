package mysql

import (
	"errors"
	"fmt"
	"strings"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
)

// The three statements read the same set of tables; a condition is appended to each.
const (
	tablesQuery = `SELECT table_schema, table_name, engine, table_rows FROM information_schema.tables
WHERE `
	columnsQuery = `SELECT table_schema, table_name, column_name, data_type, column_type, is_nullable, extra, character_set_name, collation_name
FROM information_schema.columns WHERE `
	keysQuery = `SELECT table_schema, table_name, index_name, column_name, sub_part FROM information_schema.statistics
WHERE non_unique = 0 AND `
	columnsOrder = ` ORDER BY table_schema, table_name, ordinal_position`
	keysOrder    = ` ORDER BY table_schema, table_name, index_name = 'PRIMARY' DESC, index_name, seq_in_index`
)

// UserSchemas is the condition on information_schema that leaves out the servers' own schemas.
const UserSchemas = `table_schema NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema')`

// LoadTables reads the base tables outside the server's own schemas that want accepts, in three statements, in the order of their
// names.
func LoadTables(c *Conn, want func(schema, table string) bool) ([]*Table, error) {
	return load(c, UserSchemas, "table_type = 'BASE TABLE' AND ", want)
}

// ErrNoTable says that a table does not exist.
var ErrNoTable = errors.New("no such table")

// LoadTable reads one table, or a sequence of MariaDB, which the binary log treats as a table. A missing one is a permanent *Error that wraps ErrNoTable.
func LoadTable(c *Conn, schema, table string) (*Table, error) {
	all := func(string, string) bool { return true }
	tables, err := load(c, "table_schema = ? AND table_name = ?", "table_type IN ('BASE TABLE', 'SEQUENCE') AND ", all, schema, table)
	if err != nil {
		return nil, err
	}
	if len(tables) == 0 {
		return nil, &Error{Sentence: fmt.Sprintf("table %s.%s does not exist, or the user may not see it", schema, table), Permanent: true, Err: ErrNoTable}
	}
	return tables[0], nil
}

// LoadCreate reads the CREATE TABLE statement of a table.
func LoadCreate(c *Conn, schema, table string) (string, error) {
	r, err := c.Execute("SHOW CREATE TABLE " + QuoteTable(schema, table))
	if err != nil {
		return "", fmt.Errorf("read the definition of %s.%s: %w", schema, table, err)
	}
	return r.GetString(0, 1)
}

type tableName struct{ schema, table string }

// catalog collects the answers of the metadata statements.
type catalog struct {
	ordered []*Table
	byName  map[tableName]*Table
}

// load reads what where selects and want accepts. kinds is a further condition, on the types of tables.
func load(c *Conn, where, kinds string, want func(schema, table string) bool, args ...any) ([]*Table, error) {
	cat := catalog{byName: map[tableName]*Table{}}
	var key keyParts
	steps := []struct {
		statement string
		add       func(r *gomysql.Result, row int) error
	}{
		{tablesQuery + kinds + where + " ORDER BY table_schema, table_name", func(r *gomysql.Result, row int) error { return cat.addTable(r, row, want) }},
		{columnsQuery + where + columnsOrder, cat.addColumn},
		{keysQuery + where + keysOrder, func(r *gomysql.Result, row int) error { return cat.addKeyPart(&key, r, row) }},
	}
	for _, step := range steps {
		r, err := c.Execute(step.statement, args...)
		if err != nil {
			return nil, fmt.Errorf("read table definitions: %w", err)
		}
		for row := range r.RowNumber() {
			if err := step.add(r, row); err != nil {
				return nil, fmt.Errorf("read table definitions: %w", err)
			}
		}
	}
	key.finish()
	return cat.ordered, nil
}

func (cat *catalog) addTable(r *gomysql.Result, row int, want func(schema, table string) bool) error {
	s, err := stringsOf(r, row, 3)
	if err != nil || !want(s[0], s[1]) {
		return err
	}
	rows, err := r.GetInt(row, 3)
	if err != nil {
		return err
	}
	t := &Table{Schema: s[0], Name: s[1], Engine: s[2], RowsEstimate: rows}
	cat.ordered = append(cat.ordered, t)
	cat.byName[tableName{s[0], s[1]}] = t
	return nil
}

func (cat *catalog) addColumn(r *gomysql.Result, row int) error {
	s, err := stringsOf(r, row, 9)
	if err != nil {
		return err
	}
	t := cat.byName[tableName{s[0], s[1]}]
	if t == nil {
		return nil
	}
	extra := strings.ToUpper(s[6])
	t.Columns = append(t.Columns, Column{
		Name: s[2], DataType: strings.ToLower(s[3]), ColumnType: s[4],
		Unsigned: s[7] == "" && strings.Contains(strings.ToLower(s[4]), " unsigned"),
		Nullable: s[5] == "YES",
		// MySQL 8 says DEFAULT_GENERATED of a column whose default is an expression: that one is not generated.
		Generated: strings.Contains(extra, "VIRTUAL GENERATED") || strings.Contains(extra, "STORED GENERATED"),
		Invisible: strings.Contains(extra, "INVISIBLE"),
		Charset:   s[7], Collation: s[8],
	})
	return nil
}

// keyParts collects the unique keys of one table after the other; the statement's order puts a key's parts together.
type keyParts struct {
	table   *Table
	index   string
	columns []int
	partial bool
}

func (cat *catalog) addKeyPart(k *keyParts, r *gomysql.Result, row int) error {
	s, err := stringsOf(r, row, 4)
	if err != nil {
		return err
	}
	whole, err := r.IsNull(row, 4)
	if err != nil {
		return err
	}
	t := cat.byName[tableName{s[0], s[1]}]
	if t != k.table || s[2] != k.index {
		k.finish()
		*k = keyParts{table: t, index: s[2]}
	}
	if t == nil {
		return nil
	}
	i := t.Column(s[3])
	k.columns = append(k.columns, i)
	k.partial = k.partial || !whole || i < 0
	return nil
}

// finish stores the key collected so far. One over a prefix of a column or over an expression does not tell rows apart.
func (k *keyParts) finish() {
	switch {
	case k.table == nil || k.partial:
	case k.index == "PRIMARY":
		k.table.PrimaryKey = k.columns
	default:
		k.table.UniqueKeys = append(k.table.UniqueKeys, k.columns)
	}
}

// stringsOf returns the first n values of a row as text, "" for NULL.
func stringsOf(r *gomysql.Result, row, n int) ([]string, error) {
	out := make([]string, n)
	for i := range out {
		s, err := r.GetString(row, i)
		if err != nil {
			return nil, err
		}
		out[i] = s
	}
	return out, nil
}

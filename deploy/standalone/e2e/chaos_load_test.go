package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"
)

// kind is a column type and how to write a random value of it.
type kind struct {
	name  string
	value func(*rand.Rand) string
}

var texts = []string{"''", "'it''s'", `'back\\slash'`, "'trail  '", "'中文'", "'\"quoted\"'", "'äöü'", "'%_'"}

func oneOf(values ...string) func(*rand.Rand) string {
	return func(r *rand.Rand) string { return values[r.IntN(len(values))] }
}

func raw(most int) func(*rand.Rand) string {
	return func(r *rand.Rand) string { return fmt.Sprintf("X'%0*X'", 2*(1+r.IntN(most)), r.IntN(256)) }
}

var kinds = []kind{
	{"TINYINT", func(r *rand.Rand) string { return fmt.Sprint(r.IntN(256) - 128) }},
	{"SMALLINT UNSIGNED", func(r *rand.Rand) string { return fmt.Sprint(r.IntN(1 << 16)) }},
	{"MEDIUMINT", func(r *rand.Rand) string { return fmt.Sprint(r.IntN(1<<24) - 1<<23) }},
	{"INT UNSIGNED", func(r *rand.Rand) string { return fmt.Sprint(r.Uint32()) }},
	{"BIGINT", func(r *rand.Rand) string { return fmt.Sprint(int64(r.Uint64())) }},
	{"BIGINT UNSIGNED", func(r *rand.Rand) string { return fmt.Sprint(r.Uint64()) }},
	{"DECIMAL(30,10)", func(r *rand.Rand) string { return fmt.Sprintf("%d.%010d", int64(r.Uint64()), r.IntN(1e10)) }},
	{"FLOAT", func(r *rand.Rand) string { return fmt.Sprint(float32(r.NormFloat64() * 1e9)) }},
	{"DOUBLE", func(r *rand.Rand) string { return fmt.Sprint(r.NormFloat64() * 1e99) }},
	{"BIT(33)", func(r *rand.Rand) string { return fmt.Sprintf("b'%b'", r.Uint64()>>31) }},
	{"YEAR", func(r *rand.Rand) string { return fmt.Sprint(1901 + r.IntN(255)) }},
	{"DATE", func(r *rand.Rand) string {
		return fmt.Sprintf("'%04d-%02d-%02d'", 1000+r.IntN(9000), 1+r.IntN(12), 1+r.IntN(28))
	}},
	{"TIME(3)", func(r *rand.Rand) string {
		return fmt.Sprintf("'%d:%02d:%02d.%03d'", r.IntN(1600)-800, r.IntN(60), r.IntN(60), r.IntN(1000))
	}},
	{"DATETIME(6)", func(r *rand.Rand) string {
		return fmt.Sprintf("'%04d-12-31 %02d:59:59.%06d'", 1000+r.IntN(9000), r.IntN(24), r.IntN(1e6))
	}},
	{"TIMESTAMP(6) NULL", func(r *rand.Rand) string {
		return fmt.Sprintf("'%04d-%02d-15 %02d:00:00.%06d'", 1971+r.IntN(66), 1+r.IntN(12), r.IntN(24), r.IntN(1e6))
	}},
	{"CHAR(20)", oneOf(texts...)},
	{"VARCHAR(60) CHARACTER SET gbk", oneOf("'中文'", "'单'", "''", `'\\'`, "'a''b'")},
	{"VARCHAR(80) CHARACTER SET utf8mb4", oneOf(append(texts, "'😀 emoji'")...)},
	{"BINARY(8)", raw(8)},
	{"VARBINARY(40)", raw(40)},
	{"BLOB", raw(3000)},
	{"MEDIUMTEXT", func(r *rand.Rand) string { return fmt.Sprintf("REPEAT('ä%d', %d)", r.IntN(10), r.IntN(2000)) }},
	{"ENUM('new','paid','sent')", oneOf("'new'", "'paid'", "'sent'")},
	{"SET('a','b','c')", oneOf("''", "'a'", "'a,c'", "7")},
	{"JSON", func(r *rand.Rand) string { return fmt.Sprintf(`'{"k": [%d, null, "ü"]}'`, r.IntN(1000)) }},
	{"UUID", func(r *rand.Rand) string { return fmt.Sprintf("'%08x-0000-4000-8000-%012x'", r.Uint32(), r.IntN(1e12)) }},
	{"INET6", func(r *rand.Rand) string { return fmt.Sprintf("'2001:db8::%x'", r.IntN(1<<16)) }},
	{"POINT", func(r *rand.Rand) string {
		return fmt.Sprintf("ST_GeomFromText('POINT(%d %d)')", r.IntN(100), r.IntN(100))
	}},
}

// ids is how many rows a table may have at most; half of them are there at the start.
const ids = 3000

// chaosTable is a table with an id, a number n, a short text part, and columns c0, c1 ... of some kinds.
type chaosTable struct {
	name, keys, options string
	kinds               []kind
	// What the mapping makes of it; all of it as it is by default.
	rename, where string
	columns       []string
}

// chaosTables are twenty of all types and all sorts of keys; some are mapped.
func chaosTables() []chaosTable {
	var all []chaosTable
	for i := range 8 {
		t := chaosTable{name: fmt.Sprintf("t%02d", i), keys: "PRIMARY KEY (id)"}
		for k := i; k < len(kinds); k += 8 {
			t.kinds = append(t.kinds, kinds[k])
		}
		all = append(all, t)
	}
	short, states := []kind{kinds[6], kinds[17]}, []kind{kinds[22], kinds[14]}
	return append(all,
		chaosTable{name: "composite", keys: "PRIMARY KEY (part, id)", kinds: short},
		chaosTable{name: "uniquely", keys: "UNIQUE KEY (id)", kinds: short},
		chaosTable{name: "twice", keys: "PRIMARY KEY (id), UNIQUE KEY (n)", kinds: short},
		chaosTable{name: "keyless", keys: "KEY (id)", kinds: short},
		chaosTable{name: "generated", keys: "g INT AS (n + id) STORED, v VARCHAR(40) AS (CONCAT(part, id)) VIRTUAL, PRIMARY KEY (id), KEY (g)", kinds: short},
		chaosTable{name: "parts", keys: "PRIMARY KEY (id)", options: " PARTITION BY HASH (id) PARTITIONS 3", kinds: short},
		chaosTable{name: "renamed", keys: "PRIMARY KEY (id)", kinds: short, rename: "under_another_name"},
		chaosTable{name: "filtered", keys: "PRIMARY KEY (id)", kinds: states, where: "n % 3 <> 0"},
		chaosTable{name: "stated", keys: "PRIMARY KEY (id)", kinds: states, where: "c0 = 'paid' OR n IS NULL", rename: "paid"},
		chaosTable{name: "cut", keys: "PRIMARY KEY (id), KEY (n)", kinds: states, columns: []string{"n", "id", "c0"}, where: "n < 700 AND id % 5 <> 0"},
		chaosTable{name: "parent", keys: "PRIMARY KEY (id)", kinds: short},
		chaosTable{name: "child", keys: "PRIMARY KEY (id), FOREIGN KEY (n) REFERENCES parent (id) ON DELETE CASCADE ON UPDATE CASCADE"},
	)
}

func (c chaosTable) create() string {
	text := "CREATE TABLE " + c.name + " (id INT NOT NULL, n INT, part VARCHAR(10) COLLATE utf8mb4_unicode_ci NOT NULL"
	for i, k := range c.kinds {
		text += fmt.Sprintf(", c%d %s", i, k.name)
	}
	return text + ", " + c.keys + ")" + c.options
}

// insert is a row with this id.
func (c chaosTable) insert(r *rand.Rand, verb string, id int) string {
	names, values := "id, n, part", fmt.Sprintf("%d, %s, 'p%d'", id, maybe(r, fmt.Sprint(r.IntN(1000))), r.IntN(20))
	for i, k := range c.kinds {
		names += fmt.Sprintf(", c%d", i)
		values += ", " + maybe(r, k.value(r))
	}
	return fmt.Sprintf("%s INTO %s (%s) VALUES (%s)", verb, c.name, names, values)
}

// maybe is the value, or now and then NULL.
func maybe(r *rand.Rand, value string) string {
	if r.IntN(6) == 0 {
		return "NULL"
	}
	return value
}

// change is one random statement on the table. What the source refuses, such as a value that exists, is part of it.
func (c chaosTable) change(r *rand.Rand) string {
	id := r.IntN(ids)
	switch r.IntN(8) {
	case 0, 1:
		return c.insert(r, "INSERT IGNORE", id)
	case 2:
		return c.insert(r, "REPLACE", id)
	case 3:
		return fmt.Sprintf("DELETE FROM %s WHERE id = %d", c.name, id)
	case 4:
		return fmt.Sprintf("UPDATE IGNORE %s SET id = %d WHERE id = %d", c.name, r.IntN(ids), id)
	case 5:
		return fmt.Sprintf("UPDATE IGNORE %s SET n = n + 1, part = 'P%d' WHERE id BETWEEN %d AND %d", c.name, r.IntN(20), id, id+r.IntN(20))
	case 6:
		return fmt.Sprintf("UPDATE IGNORE %s SET n = %s WHERE id = %d", c.name, maybe(r, fmt.Sprint(r.IntN(1000))), id)
	}
	if len(c.kinds) == 0 {
		return fmt.Sprintf("DELETE FROM %s WHERE n = %d", c.name, id)
	}
	column := r.IntN(len(c.kinds))
	return fmt.Sprintf("UPDATE IGNORE %s SET c%d = %s WHERE id BETWEEN %d AND %d", c.name, column, maybe(r, c.kinds[column].value(r)), id, id+r.IntN(5))
}

// chaosSchema is the schema of the chaos at the source.
const chaosSchema = "chaos"

// loadChaos makes the tables and half of their rows. The ledger is append-only and without a key, so that a change that is applied twice shows;
// balance counts what each writer has put there in the same transactions, so that one that is lost shows, and one that is torn.
func loadChaos(t testing.TB, d *database, r *rand.Rand) {
	t.Helper()
	statements := []string{
		"CREATE DATABASE " + chaosSchema, "USE " + chaosSchema, "SET foreign_key_checks = 0, sql_mode = ''",
		"CREATE TABLE ledger (writer INT NOT NULL, seq BIGINT NOT NULL, amount INT NOT NULL)",
		"CREATE TABLE balance (writer INT PRIMARY KEY, seq BIGINT NOT NULL, total BIGINT NOT NULL)",
	}
	for _, table := range chaosTables() {
		statements = append(statements, table.create(), "BEGIN")
		for range ids / 2 {
			statements = append(statements, table.insert(r, "INSERT IGNORE", r.IntN(ids)))
		}
		statements = append(statements, "COMMIT")
	}
	d.exec(t, append(statements, "DELETE FROM child WHERE n NOT IN (SELECT id FROM parent)")...)
}

// definition is one random statement about definitions.
func definition(r *rand.Rand, tables []chaosTable) []string {
	table := tables[r.IntN(len(tables)-2)].name // not the two that hang together
	x, fresh := fmt.Sprintf("x%d", r.IntN(3)), fmt.Sprintf("fresh%d", r.IntN(3))
	switch r.IntN(12) {
	case 0:
		return []string{"ALTER TABLE " + table + " ADD COLUMN IF NOT EXISTS " + x + " INT NOT NULL DEFAULT 7 " + oneOf("", "FIRST", "AFTER id")(r)}
	case 1:
		return []string{"ALTER TABLE " + table + " DROP COLUMN IF EXISTS " + x}
	case 2:
		return []string{"ALTER TABLE " + table + " MODIFY n " + oneOf("INT", "BIGINT")(r) + oneOf("", " AFTER part", " FIRST")(r)}
	case 3:
		return []string{"CREATE INDEX i ON " + table + " (n, part)"}
	case 4:
		return []string{"DROP INDEX i ON " + table}
	case 5, 6:
		return []string{"CREATE TABLE IF NOT EXISTS " + fresh + " (id INT PRIMARY KEY, v VARCHAR(20))", fmt.Sprintf("INSERT IGNORE INTO %s VALUES (%d, 'x')", fresh, r.IntN(99))}
	case 7:
		return []string{"DROP TABLE IF EXISTS " + fresh}
	case 8:
		return []string{"RENAME TABLE " + fresh + " TO fresh9", "INSERT IGNORE INTO fresh9 (id) VALUES (1000)", "RENAME TABLE fresh9 TO " + fresh}
	case 9:
		return []string{"TRUNCATE TABLE " + oneOf(fresh, "t07")(r)}
	case 10:
		return []string{"CREATE OR REPLACE TABLE " + fresh + " (PRIMARY KEY (id)) AS SELECT id, part AS v FROM " + table + " WHERE id BETWEEN 100 AND 160 GROUP BY id"}
	}
	return []string{ // as tools for online changes do it
		"DROP TABLE IF EXISTS _t03_new, _t03_old", "CREATE TABLE _t03_new LIKE t03", "ALTER TABLE _t03_new ADD COLUMN IF NOT EXISTS " + x + " INT", "INSERT INTO _t03_new (id, n, part) SELECT id, n, part FROM t03",
		"RENAME TABLE t03 TO _t03_old, _t03_new TO t03", "DROP TABLE _t03_old",
	}
}

// load is two writers and one who changes definitions, whatever happens to the server.
type load struct {
	committed atomic.Int64
	stop      func()
}

func startLoad(t testing.TB, d *database, seed uint64) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	l := &load{}
	var writers sync.WaitGroup
	tables := chaosTables()
	for i := range 2 {
		r := rand.New(rand.NewPCG(seed, uint64(10+i)))
		seq := 0
		writers.Go(func() {
			each(ctx, t, d, 8*time.Millisecond, func(conn *client.Conn) error {
				seq++
				err := l.transaction(conn, r, i, seq, tables)
				if err == nil {
					l.committed.Add(1)
				}
				return err
			})
		})
	}
	r := rand.New(rand.NewPCG(seed, 20))
	writers.Go(func() {
		each(ctx, t, d, 700*time.Millisecond, func(conn *client.Conn) error {
			for _, statement := range definition(r, tables) {
				if _, err := conn.Execute(statement); err != nil {
					return err
				}
			}
			return nil
		})
	})
	l.stop = func() {
		cancel()
		writers.Wait()
	}
	t.Cleanup(l.stop)
	return l
}

func (l *load) transaction(conn *client.Conn, r *rand.Rand, writer, seq int, tables []chaosTable) error {
	amount := r.IntN(100)
	statements := []string{
		"BEGIN",
		fmt.Sprintf("INSERT INTO ledger VALUES (%d, %d, %d)", writer, seq, amount),
		fmt.Sprintf("INSERT INTO balance VALUES (%d, %d, %d) ON DUPLICATE KEY UPDATE seq = VALUES(seq), total = total + VALUES(total)", writer, seq, amount),
	}
	for range 1 + r.IntN(4) {
		statements = append(statements, tables[r.IntN(len(tables))].change(r))
	}
	for _, statement := range append(statements, "COMMIT") {
		if _, err := conn.Execute(statement); err != nil {
			_ = conn.Rollback() // the first error tells more
			return err
		}
	}
	return nil
}

// tolerated are answers of the source to random statements that change nothing about the chaos.
var tolerated = map[uint16]bool{
	mysql.ER_LOCK_DEADLOCK: true, mysql.ER_LOCK_WAIT_TIMEOUT: true, mysql.ER_DUP_ENTRY: true, mysql.ER_NO_SUCH_TABLE: true, mysql.ER_BAD_TABLE_ERROR: true,
	mysql.ER_TABLE_EXISTS_ERROR: true, mysql.ER_DUP_KEYNAME: true, mysql.ER_CANT_DROP_FIELD_OR_KEY: true, mysql.ER_NO_REFERENCED_ROW_2: true, mysql.ER_ROW_IS_REFERENCED_2: true,
	mysql.ER_BAD_FIELD_ERROR: true, mysql.ER_TABLE_DEF_CHANGED: true, mysql.ER_SERVER_SHUTDOWN: true,
}

// each works in a session, again and again, until ctx ends.
func each(ctx context.Context, t testing.TB, d *database, pause time.Duration, work func(*client.Conn) error) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for ctx.Err() == nil {
		conn, err := d.Connect(ctx, chaosSchema)
		for err == nil {
			stop := context.AfterFunc(ctx, func() { _ = conn.Conn.Conn.Close() })
			err = work(conn)
			stop()
			var refused *mysql.MyError
			if errors.As(err, &refused) {
				if !tolerated[refused.Code] {
					t.Errorf("the source refuses a statement of the load: %v", err)
					return
				}
				err = nil
			}
			select {
			case <-ctx.Done():
				err = ctx.Err()
			case <-tick.C:
			}
		}
		if conn != nil {
			_ = conn.Close() // is broken
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

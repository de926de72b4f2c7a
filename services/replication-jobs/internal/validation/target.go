package validation

import (
	"fmt"
	"slices"
	"strings"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

// needed are the privileges on a schema that is written to.
var needed = []string{"SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER", "INDEX", "REFERENCES"}

// own are the privileges on the schema in which the target remembers the job.
var own = []string{"SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER"}

// targetPrivileges says what the target's account lacks.
func (v *validator) targetPrivileges() error {
	p := v.report.Target.Privileges
	v.lacks("opsdeck", own, p)
	for _, schema := range v.schemas() {
		v.lacks(schema, needed, p)
	}
	return nil
}

func (v *validator) lacks(schema string, privileges []string, p *Problems) {
	var missing []string
	for _, privilege := range privileges {
		if !v.target.grants.on(schema, "*", privilege) {
			missing = append(missing, privilege)
		}
	}
	if len(missing) > 0 {
		p.add("the account lacks %s on %s.*", strings.Join(missing, ", "), schema)
	}
}

// schemas are those of the chosen tables at the target, each once.
func (v *validator) schemas() []string {
	var out []string
	for _, t := range v.tables {
		out = append(out, v.there(t).Schema)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// conflicts looks for what is in the way on the target, or missing there.
func (v *validator) conflicts() error {
	if !v.job.Copies && !v.job.SkipCreate {
		return nil
	}
	var filled, missing []string
	for _, t := range v.tables {
		there := v.there(t)
		name := there.Schema + "." + there.Table
		r, err := v.target.Execute("SELECT 1 FROM " + there.String() + " LIMIT 1")
		switch code := mysql.Code(err); {
		case code == gomysql.ER_NO_SUCH_TABLE, code == gomysql.ER_BAD_DB_ERROR:
			missing = append(missing, name)
		case code == gomysql.ER_TABLEACCESS_DENIED_ERROR, code == gomysql.ER_DBACCESS_DENIED_ERROR: // told under privileges
		case err != nil:
			return fmt.Errorf("look for %s on the target: %w", name, mysql.Explain(err))
		case r.RowNumber() > 0:
			filled = append(filled, name)
		}
	}
	if len(missing) > 0 && v.job.SkipCreate {
		v.report.Errors.add("the target has no table %s: create them, or set skip_create_db_table to false", some(missing))
	}
	if len(filled) > 0 && v.job.Copies && (!v.job.DropTables || v.job.SkipCreate) {
		v.report.Errors.add("the target has rows in %s already: empty them, or set drop_table_if_exists to replace them", some(filled))
	}
	return nil
}

// triggers looks for those of the tables that are written to: they would run for replicated rows, and what they do there came from the source
// with its own rows. Those that a job has copied do not. A table that the copy drops takes its triggers along.
// shared warns of tables that jobs replicate to, of which this one may be.
func (v *validator) shared() error {
	others, err := progress.Others(v.target.Conn, "")
	switch mysql.Code(err) {
	case gomysql.ER_NO_SUCH_TABLE, gomysql.ER_BAD_DB_ERROR, gomysql.ER_TABLEACCESS_DENIED_ERROR, gomysql.ER_DBACCESS_DENIED_ERROR: // no job, or told under privileges
		return nil
	}
	if err != nil {
		return err
	}
	taken := map[string][]string{}
	for _, t := range v.tables {
		there := v.there(t)
		if job, ok := others[there]; ok {
			taken[job] = append(taken[job], there.Schema+"."+there.Table)
		}
	}
	for _, job := range sortedKeys(taken) {
		v.report.Warnings.add("job %s replicates to %s of the target already: another job is refused there until that one is deleted", job, some(taken[job]))
	}
	return nil
}

func (v *validator) triggers() error {
	if v.job.Copies && v.job.DropTables && !v.job.SkipCreate {
		return nil
	}
	r, err := v.target.Execute(`SELECT event_object_schema, event_object_table, trigger_name, action_statement FROM information_schema.triggers ORDER BY 1, 2, 3`)
	if err != nil {
		return fmt.Errorf("read the target's triggers: %w", mysql.Explain(err))
	}
	written := map[ddl.Name]bool{}
	for _, t := range v.tables {
		written[v.there(t)] = true
	}
	var found []string
	for i := range r.RowNumber() {
		var row [4]string
		for j := range row {
			if row[j], err = r.GetString(i, j); err != nil {
				return err
			}
		}
		if !strings.HasPrefix(row[3], ddl.Guard) && written[ddl.Name{Schema: row[0], Table: row[1]}] {
			found = append(found, row[0]+"."+row[2])
		}
	}
	if len(found) > 0 {
		v.report.Errors.add("the target's triggers %s would run for replicated rows, whose effects are replicated already: drop them for as long as the job runs", some(found))
	}
	return nil
}

// charsets looks for character sets and collations of the chosen tables that the target lacks.
func (v *validator) charsets() error {
	if v.job.SkipCreate { // the tables that the target has will do
		return nil
	}
	known, err := pairs(v.target.Conn, `SELECT collation_name, character_set_name FROM information_schema.collations WHERE character_set_name IS NOT NULL`)
	if err != nil {
		return fmt.Errorf("read the target's collations: %w", mysql.Explain(err))
	}
	if v.target.Flavor.Name() == mariaDB {
		// MariaDB 10.10 and newer list the UCA-14.0.0 collations without a character set; here each has its full name.
		full, err := pairs(v.target.Conn, `SELECT full_collation_name, character_set_name FROM information_schema.collation_character_set_applicability`)
		if err == nil {
			for name, charset := range full {
				known[name] = charset
			}
		}
	}
	lacking := map[string][]string{}
	for _, t := range v.tables {
		for _, c := range t.Columns {
			if _, ok := known[c.Collation]; c.Collation != "" && !ok {
				lacking[c.Collation] = append(lacking[c.Collation], t.String()+"."+c.Name)
			}
		}
	}
	for _, collation := range sortedKeys(lacking) {
		v.report.Errors.add("the target lacks the collation %s of %s: create the tables there yourself with one it has, and set skip_create_db_table",
			collation, some(lacking[collation]))
	}
	return nil
}

// keyless looks for settings of the target under which it does not create tables without a primary key as they are at the source.
func (v *validator) keyless() error {
	if v.job.SkipCreate {
		return nil
	}
	have, err := pairs(v.target.Conn, `SHOW GLOBAL VARIABLES WHERE Variable_name IN ('sql_require_primary_key', 'sql_generate_invisible_primary_key')`)
	if err != nil {
		return fmt.Errorf("read the settings of the target: %w", mysql.Explain(err))
	}
	checkKeyless(have, v.tables, &v.report.Errors)
	return nil
}

func checkKeyless(have map[string]string, tables []*mysql.Table, p *Problems) {
	var names []string
	for _, t := range tables {
		if len(t.PrimaryKey) == 0 {
			names = append(names, t.String())
		}
	}
	if len(names) == 0 {
		return
	}
	if strings.EqualFold(have["sql_require_primary_key"], "ON") {
		p.add("the target has sql_require_primary_key=ON and refuses these tables without a primary key: %s; set it to OFF, or give them a primary key", some(names))
	}
	if strings.EqualFold(have["sql_generate_invisible_primary_key"], "ON") {
		p.add("the target has sql_generate_invisible_primary_key=ON and would add a column to these tables without a primary key: %s; set it to OFF, or give them a primary key", some(names))
	}
}

// foreign are types of one family that the other has not.
var foreign = map[bool][]string{
	true:  {"vector"},                                      // of MySQL, on MariaDB
	false: {"uuid", "inet4", "inet6", "xmltype", "vector"}, // of MariaDB, on MySQL
}

// types looks for columns whose type the target's family does not know.
func (v *validator) types() error {
	toMariaDB := v.target.Flavor.Name() == mariaDB
	if (v.source.Flavor.Name() == mariaDB) == toMariaDB {
		return nil
	}
	for _, t := range v.tables {
		for _, c := range t.Columns {
			if slices.Contains(foreign[toMariaDB], c.DataType) {
				v.report.Errors.add("column %s.%s has the type %s, which %s does not know: leave the table out", t, c.Name, c.DataType, v.target.Flavor.Name())
			}
		}
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for key := range m {
		out = append(out, key)
	}
	slices.Sort(out)
	return out
}

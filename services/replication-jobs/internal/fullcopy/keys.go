package fullcopy

import (
	"fmt"
	"strings"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
)

// Keys that no row depends on are added when all rows are there: to sort them once costs the target a quarter of what it costs to keep them in order
// from row to row, and that only while they fit into its memory. Nothing needs to be recorded of it. A table is done when it has its keys, and adding
// those that are missing may be repeated.

// keysMayWait reports whether a table's keys can wait for its rows. Those that a foreign key refers to cannot.
func (p *plan) keysMayWait(t *task) bool {
	if p.target.conn.Flavor.Name() != gomysql.MariaDBFlavor || t.table.Engine != "InnoDB" {
		return false
	}
	if p.referenced[ddl.Name{Schema: t.table.Schema, Table: t.table.Name}] {
		return false
	}
	_, keys := ddl.SplitKeys(t.create)
	return len(keys) > 0
}

// referenced are the tables that foreign keys of the snapshot's tables refer to.
func (s *snapshot) referenced() (map[ddl.Name]bool, error) {
	out := map[ddl.Name]bool{}
	for _, t := range s.tables {
		names, err := ddl.References(s.creates[t.String()], t.Schema)
		if err != nil {
			return nil, fmt.Errorf("read the foreign keys of %s: %w", t, err)
		}
		for _, name := range names {
			out[name] = true
		}
	}
	return out, nil
}

// mark is the fingerprint of the task's definition, another one for a table that a copy has made: such a one may lack its keys, so that a worker of a
// release that adds none must begin it again.
func (t *task) mark(made bool) string {
	if made {
		return fingerprint(t.create + " made by the copy")
	}
	return fingerprint(t.create)
}

// addKeys adds the keys that the table was created without, unless the job belongs to a later run.
func (t *target) addKeys(task *task) error {
	if !task.keysLast {
		return nil
	}
	create, err := t.definition(task)
	if err != nil {
		return err
	}
	_, keys := ddl.SplitKeys(create)
	if len(keys) == 0 { // none of them is over columns that are copied
		return nil
	}
	if err := t.commit(t.rec.Fence); err != nil {
		return err
	}
	t.opt.Event("copy", fmt.Sprintf("adding the keys of %s", task.table))
	err = t.lenient(func() error {
		_, err := t.define("ALTER TABLE " + task.quoted() + " " + strings.Join(keys, ", "))
		return err
	})
	return wrapTable(err, "add the keys of", task)
}

package objects

import (
	"fmt"
	"strings"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// CopySequence makes a sequence of MariaDB at the target as it stands at the source, in place of one that is there. What the source takes from it
// later is in the binary log.
func CopySequence(source, target *mysql.Conn, o Object, names ddl.Names) error {
	if err := copySequence(source, target, o, names); err != nil {
		return fmt.Errorf("copy the sequence %s: %w", o, mysql.Explain(err))
	}
	return nil
}

func copySequence(source, target *mysql.Conn, o Object, names ddl.Names) error {
	here := ddl.Name{Schema: o.Schema, Table: o.Name}
	there, err := names.Target(here)
	if err != nil {
		return err
	}
	r, err := source.Execute("SHOW CREATE SEQUENCE " + here.String())
	if err != nil {
		return err
	}
	create, err := r.GetString(0, 1)
	if err != nil {
		return err
	}
	options, ok := strings.CutPrefix(create, "CREATE SEQUENCE "+mysql.QuoteIdent(o.Name))
	if !ok {
		return fmt.Errorf("%w: %s", ddl.ErrUnknown, ddl.Excerpt(create))
	}
	if r, err = source.Execute("SELECT * FROM " + here.String()); err != nil {
		return err
	}
	values := make([]string, r.ColumnNumber())
	for i := range values {
		if values[i], err = r.GetString(0, i); err != nil {
			return err
		}
	}
	for _, statement := range []string{
		"CREATE OR REPLACE SEQUENCE " + there.String() + options,
		"INSERT INTO " + there.String() + " VALUES (" + strings.Join(values, ", ") + ")",
	} {
		if _, err := target.Execute(statement); err != nil {
			return err
		}
	}
	return nil
}

package objects

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

// Statement is the statement that creates an object at the target.
func Statement(d progress.Object, names ddl.Names) (ddl.Statement, error) {
	o, err := ddl.ParseObject(string(d.Text), ddl.Session{Schema: d.Schema, ANSIQuotes: strings.Contains(d.Session.SQLMode, "ANSI_QUOTES")})
	if err != nil {
		return ddl.Statement{}, err
	}
	return o.Target(names, o.Names)
}

// RefusedError says which object the target refuses.
type RefusedError struct {
	Object progress.Object
	Err    error
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("create the %s %s.%s on the target: %v", strings.ToLower(e.Object.Type), e.Object.Schema, e.Object.Name, mysql.Explain(e.Err))
}

func (e *RefusedError) Unwrap() error { return e.Err }

// Create creates objects at the target, each in a session like its own, which it changes. Objects that are there are replaced. One that needs
// another waits for it. It fails with a *RefusedError for what the target does not take.
func Create(c *mysql.Conn, all []progress.Object, names ddl.Names, event func(kind, message string)) error {
	for len(all) > 0 {
		var waiting []progress.Object
		var reason error
		for _, d := range all {
			err := create(c, d, names, event)
			if err == nil {
				continue
			}
			err = &RefusedError{Object: d, Err: err}
			switch mysql.Code(err) {
			case gomysql.ER_NO_SUCH_TABLE, gomysql.ER_VIEW_INVALID, gomysql.ER_SP_DOES_NOT_EXIST:
				waiting, reason = append(waiting, d), err
			default:
				return err
			}
		}
		if len(waiting) == len(all) {
			return reason
		}
		all = waiting
	}
	return nil
}

func create(c *mysql.Conn, d progress.Object, names ddl.Names, event func(kind, message string)) error {
	s, err := Statement(d, names)
	if err != nil {
		return err
	}
	mode := known(c.Flavor.Name(), d.Session.SQLMode)
	settings := []string{"USE " + mysql.QuoteIdent(s.Default)}
	for name, value := range map[string]string{
		"sql_mode": mode, "character_set_client": d.Session.ClientCharset,
		"collation_connection": d.Session.ConnectionCollation, "time_zone": d.Session.TimeZone,
	} {
		if value != "" {
			settings = append(settings, "SET SESSION "+name+" = "+string(mysql.AppendString(nil, []byte(value))))
		}
	}
	for _, setting := range settings {
		if _, err := c.Execute(setting); err != nil {
			return err
		}
	}
	return Define(c, s, event)
}

// mysqlModes are those that MySQL 8 knows; ANSI and TRADITIONAL, which stand for others of them, are left out.
var mysqlModes = []string{
	"REAL_AS_FLOAT", "PIPES_AS_CONCAT", "ANSI_QUOTES", "IGNORE_SPACE", "ONLY_FULL_GROUP_BY", "NO_UNSIGNED_SUBTRACTION", "NO_DIR_IN_CREATE", "NO_AUTO_VALUE_ON_ZERO",
	"NO_BACKSLASH_ESCAPES", "STRICT_TRANS_TABLES", "STRICT_ALL_TABLES", "NO_ZERO_IN_DATE", "NO_ZERO_DATE", "ALLOW_INVALID_DATES",
	"ERROR_FOR_DIVISION_BY_ZERO", "HIGH_NOT_PRECEDENCE", "NO_ENGINE_SUBSTITUTION", "PAD_CHAR_TO_FULL_LENGTH", truncate,
}

// truncate is a mode that MySQL alone has.
const truncate = "TIME_TRUNCATE_FRACTIONAL"

// known leaves out of a sql_mode what a family of servers does not know.
func known(flavor, mode string) string {
	return strings.Join(slices.DeleteFunc(strings.Split(mode, ","), func(m string) bool {
		if flavor == gomysql.MySQLFlavor {
			return !slices.Contains(mysqlModes, m)
		}
		return m == truncate
	}), ",")
}

// Define executes a definition in a session that is like its own. Where its definer does not exist, or the account may not name it, the definer is the
// account itself, which event is told.
func Define(c *mysql.Conn, s ddl.Statement, event func(kind, message string)) error {
	r, err := execute(c, s)
	missing := mysql.Code(err) == gomysql.ER_SPECIFIC_ACCESS_DENIED_ERROR
	if err == nil && r.Warnings > 0 {
		if missing, err = warned(c, gomysql.ER_NO_SUCH_USER); err != nil {
			return err
		}
	}
	if !missing {
		return err
	}
	own, other, parseErr := s.OwnDefiner()
	if parseErr != nil || !other {
		return cmp.Or(err, parseErr)
	}
	if _, err := execute(c, own); err != nil {
		return err
	}
	event("warning", "the definer does not exist at the target, or the account may not name it (SET USER, SET_ANY_DEFINER): the account itself defines "+s.Objects[0].Schema+"."+s.Objects[0].Table)
	return nil
}

func execute(c *mysql.Conn, s ddl.Statement) (*gomysql.Result, error) {
	if s.First != "" {
		if _, err := c.Execute(s.First); err != nil {
			return nil, err
		}
	}
	return c.Execute(s.Text)
}

// warned reports whether the last statement has drawn a warning.
func warned(c *mysql.Conn, code uint64) (bool, error) {
	r, err := c.Execute("SHOW WARNINGS")
	if err != nil {
		return false, err
	}
	for i := range r.RowNumber() {
		if got, err := r.GetUint(i, 1); err != nil || got == code {
			return err == nil, err
		}
	}
	return false, nil
}

package validation

import (
	"fmt"
	"slices"
	"strings"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// all is the privilege that stands for every other on its level.
const all = "ALL PRIVILEGES"

// grant is one line of SHOW GRANTS: privileges on a level.
type grant struct {
	privileges    []string
	schema, table string // "*" for all; a schema may be a pattern
	revoked       bool   // a partial revoke of MySQL 8
}

// grants are what a session's account and its active roles may do.
type grants struct {
	lines []grant
	// exact is set where names of schemas are no patterns: MySQL with partial_revokes.
	exact bool
}

// loadGrants reads the grants of a session, its active roles included.
func loadGrants(c *mysql.Conn) (grants, error) {
	statement := "SHOW GRANTS"
	roles, err := text(c, "SELECT CURRENT_ROLE()")
	switch {
	case err != nil && mysql.Code(err) == 0:
		return grants{}, fmt.Errorf("read the active roles: %w", mysql.Explain(err))
	case err != nil: // MySQL 5.7 has no roles
	case c.Flavor.Name() != mariaDB && roles != "" && !strings.EqualFold(roles, "NONE"):
		statement += " FOR CURRENT_USER() USING " + roles // MariaDB lists what active roles grant by itself
	}
	r, err := c.Execute(statement)
	if err != nil {
		return grants{}, fmt.Errorf("read the grants: %w", mysql.Explain(err))
	}
	var g grants
	for i := range r.RowNumber() {
		line, err := r.GetString(i, 0)
		if err != nil {
			return grants{}, err
		}
		if parsed, ok := parseGrant(line); ok {
			g.lines = append(g.lines, parsed)
			g.exact = g.exact || parsed.revoked
		}
	}
	return g, nil
}

// parseGrant reads a line of SHOW GRANTS. It is false for lines that grant no privileges: roles and proxies.
func parseGrant(line string) (grant, bool) {
	words, ok := strings.CutPrefix(line, "GRANT ")
	to := " TO "
	revoked := false
	if !ok {
		if words, ok = strings.CutPrefix(line, "REVOKE "); !ok {
			return grant{}, false
		}
		revoked, to = true, " FROM "
	}
	privileges, rest, ok := cutOutside(words, " ON ")
	if !ok {
		return grant{}, false
	}
	level, _, ok := cutOutside(rest, to)
	if !ok {
		return grant{}, false
	}
	for _, kind := range []string{"PROCEDURE ", "FUNCTION ", "PACKAGE "} {
		if strings.HasPrefix(level, kind) {
			return grant{}, false
		}
	}
	schema, table, ok := cutOutside(strings.TrimPrefix(level, "TABLE "), ".")
	if !ok {
		return grant{}, false
	}
	return grant{privileges: listOf(privileges), schema: unquote(schema), table: unquote(table), revoked: revoked}, true
}

// cutOutside is strings.Cut that does not look into quoted names and parentheses.
func cutOutside(s, sep string) (before, after string, found bool) {
	var quote byte
	depth := 0
	for i := range len(s) {
		c := s[i]
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
			continue
		case c == '`' || c == '\'' || c == '"':
			quote = c
			continue
		case c == '(':
			depth++
		case c == ')':
			depth--
		}
		if depth == 0 && strings.HasPrefix(s[i:], sep) {
			return s[:i], s[i+len(sep):], true
		}
	}
	return s, "", false
}

// listOf splits a list of privileges. One that is limited to columns is left out: rows need all columns.
func listOf(text string) []string {
	var out []string
	for more := true; more; {
		var one string
		one, text, more = cutOutside(text, ", ")
		one = strings.ToUpper(strings.TrimSpace(one))
		if one == "ALL" {
			one = all
		}
		if !strings.Contains(one, "(") {
			out = append(out, one)
		}
	}
	return out
}

func unquote(name string) string {
	if len(name) >= 2 && name[0] == '`' && name[len(name)-1] == '`' {
		return strings.ReplaceAll(name[1:len(name)-1], "``", "`")
	}
	return name
}

// global reports whether one of the privileges is held on everything.
func (g grants) global(privileges ...string) bool { return g.holds("*", "*", privileges) }

// on reports whether one of the privileges is held on a table; "*" is every table of the schema.
func (g grants) on(schema, table string, privileges ...string) bool {
	return g.holds(schema, table, privileges)
}

func (g grants) holds(schema, table string, privileges []string) bool {
	return slices.ContainsFunc(privileges, func(privilege string) bool {
		held := false
		for _, line := range g.lines {
			if !line.speaksOf(privilege) {
				continue
			}
			if line.revoked && line.schema == schema {
				return false
			}
			held = held || !line.revoked && g.covers(line, schema, table)
		}
		return held
	})
}

// speaksOf reports whether the line names a privilege, or all of them.
func (line grant) speaksOf(privilege string) bool {
	if slices.Contains(line.privileges, all) && privilege != "GRANT OPTION" && privilege != "PROXY" {
		return true
	}
	return slices.Contains(line.privileges, privilege)
}

func (g grants) covers(line grant, schema, table string) bool {
	if line.schema == "*" {
		return true
	}
	if line.table != "*" {
		return line.schema == schema && line.table == table
	}
	return line.schema == schema || !g.exact && like(line.schema, schema)
}

// like matches a name with a pattern of GRANT: % is any text, _ any character, and \ takes a pattern character as it is.
func like(pattern, name string) bool {
	for pattern != "" {
		c := pattern[0]
		pattern = pattern[1:]
		switch {
		case c == '%':
			for i := 0; i <= len(name); i++ {
				if like(pattern, name[i:]) {
					return true
				}
			}
			return false
		case name == "":
			return false
		case c == '_':
		case c == '\\' && pattern != "":
			if pattern[0] != name[0] {
				return false
			}
			pattern = pattern[1:]
		case c != name[0]:
			return false
		}
		name = name[1:]
	}
	return name == ""
}

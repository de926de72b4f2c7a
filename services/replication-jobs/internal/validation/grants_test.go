package validation

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func grantsOf(lines ...string) grants {
	var g grants
	for _, line := range lines {
		if parsed, ok := parseGrant(line); ok {
			g.lines = append(g.lines, parsed)
			g.exact = g.exact || parsed.revoked
		}
	}
	return g
}

func TestGrants(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name          string
		lines         []string
		schema, table string
		privilege     string
		want          bool
	}{
		{"everything", []string{"GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` IDENTIFIED BY PASSWORD '*0' WITH GRANT OPTION"}, "shop", "t", "SELECT", true},
		{"everything of a schema", []string{"GRANT ALL PRIVILEGES ON `shop`.* TO `r`@`%`"}, "shop", "t", "ALTER", true},
		{"of another schema", []string{"GRANT ALL PRIVILEGES ON `shop`.* TO `r`@`%`"}, "shop2", "t", "ALTER", false},
		{"a schema is not everything", []string{"GRANT ALL PRIVILEGES ON `shop`.* TO `r`@`%`"}, "*", "*", "RELOAD", false},
		{"global", []string{"GRANT RELOAD, REPLICATION SLAVE, BINLOG MONITOR ON *.* TO `r`@`%`"}, "*", "*", "BINLOG MONITOR", true},
		{"global for a table", []string{"GRANT SELECT ON *.* TO `r`@`%`"}, "shop", "t", "SELECT", true},
		{"usage is nothing", []string{"GRANT USAGE ON *.* TO `r`@`%`"}, "shop", "t", "SELECT", false},
		{"one table", []string{"GRANT SELECT ON `shop`.`t` TO `r`@`%`"}, "shop", "t", "SELECT", true},
		{"another table", []string{"GRANT SELECT ON `shop`.`t` TO `r`@`%`"}, "shop", "u", "SELECT", false},
		{"one table is not the schema", []string{"GRANT SELECT ON `shop`.`t` TO `r`@`%`"}, "shop", "*", "SELECT", false},
		{"columns are not rows", []string{"GRANT SELECT (`a`, `b`), INSERT ON `shop`.`t` TO `r`@`%`"}, "shop", "t", "SELECT", false},
		{"beside columns", []string{"GRANT SELECT (`a`, `b`), INSERT ON `shop`.`t` TO `r`@`%`"}, "shop", "t", "INSERT", true},
		{"pattern", []string{"GRANT SELECT ON `shop%`.* TO `r`@`%`"}, "shop_eu", "t", "SELECT", true},
		{"escaped pattern", []string{"GRANT SELECT ON `shop\\_eu`.* TO `r`@`%`"}, "shop_eu", "t", "SELECT", true},
		{"escaped pattern, other", []string{"GRANT SELECT ON `shop\\_eu`.* TO `r`@`%`"}, "shopxeu", "t", "SELECT", false},
		{"any character", []string{"GRANT SELECT ON `shop_eu`.* TO `r`@`%`"}, "shopxeu", "t", "SELECT", true},
		{"partial revoke", []string{"GRANT SELECT ON *.* TO `r`@`%`", "REVOKE SELECT ON `shop`.* FROM `r`@`%`"}, "shop", "t", "SELECT", false},
		{"partial revoke elsewhere", []string{"GRANT SELECT ON *.* TO `r`@`%`", "REVOKE SELECT ON `hr`.* FROM `r`@`%`"}, "shop", "t", "SELECT", true},
		{"no patterns with partial revokes", []string{"GRANT SELECT ON `s%`.* TO `r`@`%`", "REVOKE INSERT ON `hr`.* FROM `r`@`%`"}, "shop", "t", "SELECT", false},
		{"a role says nothing by itself", []string{"GRANT `reader`@`%` TO `r`@`%`"}, "shop", "t", "SELECT", false},
		{"what a role grants", []string{"GRANT `reader`@`%` TO `r`@`%`", "GRANT SELECT ON `shop`.* TO `reader`"}, "shop", "t", "SELECT", true},
		{"a routine is no table", []string{"GRANT EXECUTE ON PROCEDURE `shop`.`t` TO `r`@`%`"}, "shop", "t", "EXECUTE", false},
		{"names with everything", []string{"GRANT SELECT ON `a ON b``.c`.`x TO y` TO `r`@`%`"}, "a ON b`.c", "x TO y", "SELECT", true},
		{"proxy", []string{"GRANT PROXY ON ''@'' TO 'root'@'localhost' WITH GRANT OPTION"}, "*", "*", "PROXY", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, grantsOf(test.lines...).on(test.schema, test.table, test.privilege))
		})
	}
}

func FuzzParseGrant(f *testing.F) {
	f.Add("GRANT SELECT (`a`), INSERT ON `shop`.`t` TO `r`@`%`")
	f.Add("REVOKE SELECT ON `shop`.* FROM `r`@`%`")
	f.Add("GRANT `a``b`@`%` TO x")
	f.Fuzz(func(t *testing.T, line string) {
		g, ok := parseGrant(line)
		if !ok {
			return
		}
		for _, privilege := range g.privileges {
			require.NotContains(t, privilege, "(")
			require.Equal(t, strings.ToUpper(privilege), privilege)
		}
	})
}

package apply_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// typeCases are columns with values at the edges of their types.
var typeCases = map[string][]string{
	"TINYINT": {"-128", "127", "0", "NULL"}, "TINYINT UNSIGNED": {"0", "255", "128"},
	"SMALLINT": {"-32768", "32767"}, "SMALLINT UNSIGNED": {"65535", "32768"},
	"MEDIUMINT": {"-8388608", "8388607", "-1"}, "MEDIUMINT UNSIGNED": {"16777215", "8388608"},
	"INT": {"-2147483648", "2147483647"}, "INT UNSIGNED": {"4294967295", "2147483648"}, "INT(6) ZEROFILL": {"42"},
	"BIGINT": {"-9223372036854775808", "9223372036854775807"}, "BIGINT UNSIGNED": {"18446744073709551615", "9223372036854775808"},
	"BOOLEAN": {"TRUE", "FALSE"},
	"FLOAT":   {"1.1", "-3.4e38", "1.17549435e-38", "16777217", "-0e0"}, "FLOAT(7,2)": {"12345.67", "0.1"},
	"DOUBLE": {"0.1", "-1.7976931348623157e308", "2.2250738585072014e-308", "123456789.123456789", "-0e0"}, "DOUBLE(10,3)": {"1234.567"},
	"DECIMAL(65,30)": {"-12345678901234567890123456789012345.123456789012345678901234567890", "0.000000000000000000000000000001"},
	"DECIMAL(10,0)":  {"-9999999999", "0"}, "DECIMAL(5,5)": {"-0.00001", "0.99999"}, "DECIMAL(20,9) UNSIGNED": {"12345678901.000000001"},
	"BIT(1)": {"b'0'", "b'1'"}, "BIT(9)": {"b'100000001'"}, "BIT(33)": {"b'100000000000000000000000000000001'"}, "BIT(64)": {"0xFFFFFFFFFFFFFFFF", "0x8000000000000000"},
	"YEAR": {"0", "1901", "2155"},
	"DATE": {"'0000-00-00'", "'1000-01-01'", "'9999-12-31'", "'2024-00-10'", "'2024-02-31'", "NULL"},
	"TIME": {"'-838:59:59'", "'838:59:59'", "'00:00:00'"}, "TIME(1)": {"'-00:00:00.1'", "'12:34:56.7'"}, "TIME(2)": {"'-01:00:00.01'"}, "TIME(3)": {"'-00:00:00.999'"},
	"TIME(4)": {"'-00:00:01.0001'"}, "TIME(5)": {"'10:11:12.12345'"}, "TIME(6)": {"'-838:59:58.999999'", "'-00:00:00.000001'", "'00:00:00.000001'"},
	"DATETIME": {"'0000-00-00 00:00:00'", "'1000-01-01 00:00:00'", "'9999-12-31 23:59:59'", "'2024-00-00 01:02:03'"}, "DATETIME(1)": {"'2024-01-01 00:00:00.9'"},
	"DATETIME(3)": {"'2024-06-30 12:00:00.123'"}, "DATETIME(6)": {"'9999-12-31 23:59:59.999999'", "'0000-00-00 00:00:00.000001'"},
	"TIMESTAMP NULL": {"'1970-01-01 00:00:01'", "'2038-01-19 03:14:07'", "'0000-00-00 00:00:00'", "NULL", "'2024-03-31 02:30:00'"}, "TIMESTAMP(6) NULL": {"'2024-10-27 01:30:00.123456'"},
	"CHAR(10)": {"''", "'  lead'", "'trail  '", `'it''s \\ "quoted" \n\0\Z'`, "'汉字'"}, "CHAR(10) CHARACTER SET latin1": {"_latin1 X'E9E8FF80'"},
	"VARCHAR(100)": {"'trail  '", "'😀 emoji'", "''"}, "VARCHAR(300) CHARACTER SET gbk": {"'中文测试'", `_gbk X'815C'`, `_gbk X'D05C27'`},
	"VARCHAR(50) CHARACTER SET utf16": {"'utf16 😀'"}, "VARCHAR(50) CHARACTER SET ucs2": {"'ucs2 中'"}, "CHAR(50) CHARACTER SET utf32": {"'utf32 😀'"},
	"VARCHAR(50) CHARACTER SET latin1": {"_latin1 X'80FF27225C'"}, "VARCHAR(50) CHARACTER SET big5": {"_big5 X'A45CB35C'"}, "VARCHAR(50) CHARACTER SET sjis": {"_sjis X'835C5C'"},
	"VARCHAR(20) COLLATE utf8mb4_nopad_bin": {"'a '", "'a'"}, "VARCHAR(50) CHARACTER SET utf8mb3": {"'äöü'"},
	"BINARY(8)": {"''", "X'0000000000000000'", "X'00FF000000000000'", "'abc'"}, "VARBINARY(20)": {"X'00'", "X'0000'", "''", "X'275C00FF'"}, "BINARY(255)": {"X'FF'"},
	"TINYBLOB": {"X'00275C5C22'"}, "BLOB": {"REPEAT(X'FF00', 10000)", "NULL"}, "MEDIUMBLOB": {"REPEAT(X'27', 70000)"}, "LONGBLOB": {"''"},
	"TINYTEXT": {"'tiny'"}, "TEXT CHARACTER SET gbk": {"'中文'"}, "MEDIUMTEXT": {"REPEAT('ä', 70000)"}, "LONGTEXT": {"''", "NULL"},
	"ENUM('a','b','it''s')": {"'a'", "3", "NULL"}, "SET('x','y','z')": {"''", "'x,z'", "7"}, "SET(" + manyMembers + ")": {"0x8000000000000001"},
	"JSON":  {`'{"a": 1.0, "b": [1, 2, null], "c": "\\u4e2d"}'`, "NULL"},
	"UUID":  {"'123e4567-e89b-12d3-a456-426655440000'", "'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-4fff-bfff-ffffffffff00'", "'01890000-0000-7000-8000-000000000000'"},
	"INET6": {"'2001:db8::ff00:42:8329'", "'::'"}, "INET4": {"'192.0.2.0'", "'0.0.0.0'"},
	"POINT": {"ST_GeomFromText('POINT(1 -2.5)')"}, "GEOMETRY": {"ST_GeomFromText('POLYGON((0 0,10 0,10 10,0 0))', 4326)", "NULL"},
}

// withoutKeys are types that cannot be a primary key without a prefix.
var withoutKeys = regexp.MustCompile("BLOB|TEXT|JSON|GEOMETRY|POINT")

func kinds() []string {
	return slices.Sorted(maps.Keys(typeCases))
}

var manyMembers = members(64)

func members(n int) string {
	names := make([]string, n)
	for i := range names {
		names[i] = "'m" + strings.Repeat("i", i) + "'"
	}
	return strings.Join(names, ",")
}

// The values go through an insert, an update of all columns, a delete and, as tables without a key, comparison by value.
func TestTypes(t *testing.T) {
	t.Parallel()
	j := newJob(t, "types")
	for _, c := range []*mysql.Conn{j.source, j.target} {
		j.at(t, c, "SET sql_mode = 'ALLOW_INVALID_DATES'")
	}
	names := map[string]string{}
	for n, kind := range kinds() {
		keyed, keyless := fmt.Sprintf("k%d", n), fmt.Sprintf("n%d", n)
		names[keyed], names[keyless] = kind, kind
		j.create(t, "CREATE TABLE "+keyed+" (id INT PRIMARY KEY, v "+kind+", other INT)", "CREATE TABLE "+keyless+" (id INT, v "+kind+", other INT)")
	}
	for name, kind := range names {
		for i, v := range typeCases[kind] {
			j.write(t, "INSERT INTO "+name+" VALUES ("+string(rune('1'+i))+", "+v+", 0)")
		}
	}
	_, err := j.run(t)
	require.NoError(t, err)
	j.claim(t)
	for name, kind := range names {
		equal(t, j, name, kind, "inserted")
		j.write(t, "UPDATE "+name+" SET other = 1", "DELETE FROM "+name+" WHERE id = 1", "INSERT INTO "+name+" VALUES (1, "+typeCases[kind][0]+", 2)")
	}
	_, err = j.run(t)
	require.NoError(t, err)
	for name, kind := range names {
		equal(t, j, name, kind, "updated")
	}
}

func equal(t *testing.T, j *job, table, kind, what string) {
	t.Helper()
	const query = "SELECT GROUP_CONCAT(CONCAT_WS('/', id, IFNULL(HEX(v), 'NULL'), other) ORDER BY id SEPARATOR ' | ') FROM types."
	require.Equal(t, value(t, j.source, query+table), value(t, j.target, query+table), "%s %s (%s)", kind, what, table)
	require.Equal(t, value(t, j.source, "SELECT COUNT(*) FROM types."+table), value(t, j.target, "SELECT COUNT(*) FROM types."+table), kind)
}

func TestTypesAsKeys(t *testing.T) {
	t.Parallel()
	j := newJob(t, "typekeys")
	for _, c := range []*mysql.Conn{j.source, j.target} {
		j.at(t, c, "SET sql_mode = 'ALLOW_INVALID_DATES'")
	}
	var rows []string
	for n, kind := range kinds() {
		if withoutKeys.MatchString(kind) {
			continue
		}
		column := strings.ReplaceAll(kind, " NULL", "")
		j.create(t, fmt.Sprintf("CREATE TABLE s%d (v %s NOT NULL PRIMARY KEY, other INT)", n, column),
			fmt.Sprintf("CREATE TABLE d%d (v %s NOT NULL, i INT, other INT, PRIMARY KEY (v, i))", n, column))
		for _, v := range typeCases[kind] {
			if v != "NULL" {
				rows = append(rows, fmt.Sprintf("INSERT IGNORE INTO s%d VALUES (%s, 0)", n, v), fmt.Sprintf("INSERT IGNORE INTO d%d VALUES (%s, 1, 0),(%s, 2, 0)", n, v, v))
			}
		}
	}
	j.write(t, rows...)
	j.converge(t)
	for name := range j.tables(t, j.source) {
		j.write(t, "UPDATE "+name+" SET other = 1")
	}
	j.converge(t)
	for name := range j.tables(t, j.source) {
		j.write(t, "DELETE FROM "+name+" LIMIT 1")
	}
	j.converge(t)
}

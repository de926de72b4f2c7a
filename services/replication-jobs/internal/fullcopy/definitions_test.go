package fullcopy_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/fullcopy"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// zoo are definitions of tables with all that may be said of one.
var zoo = []string{
	"CREATE DATABASE zoo DEFAULT CHARACTER SET latin1 COLLATE latin1_german1_ci",
	"CREATE TABLE zoo.parent (id INT UNSIGNED NOT NULL AUTO_INCREMENT COMMENT 'it''s a number', code CHAR(3) CHARACTER SET ascii NOT NULL, PRIMARY KEY (id), UNIQUE KEY by_code (code)) COMMENT='parents; all of them' AUTO_INCREMENT=5000",
	`CREATE TABLE zoo.child (id BIGINT PRIMARY KEY, parent INT UNSIGNED, code CHAR(3) CHARACTER SET ascii, amount DECIMAL(10,2) CHECK (amount >= 0), low INT, high INT,
		KEY by_parent (parent), CONSTRAINT of_parent FOREIGN KEY (parent) REFERENCES zoo.parent (id) ON DELETE CASCADE ON UPDATE SET NULL,
		CONSTRAINT of_code FOREIGN KEY (code) REFERENCES zoo.parent (code), CONSTRAINT ordered CHECK (low <= high))`,
	"CREATE TABLE zoo.itself (id INT PRIMARY KEY, up INT, FOREIGN KEY (up) REFERENCES zoo.itself (id))",
	"CREATE TABLE zoo.words (id INT PRIMARY KEY, body TEXT, title VARCHAR(100) COLLATE utf8mb4_unicode_ci, place POINT NOT NULL, FULLTEXT KEY by_body (body), FULLTEXT KEY by_title (title), SPATIAL KEY by_place (place), KEY by_prefix (body(20)), KEY downwards (title DESC, id)) DEFAULT CHARSET=utf8mb4",
	"CREATE TABLE zoo.computed (id INT PRIMARY KEY, a INT, doubled INT AS (a * 2) VIRTUAL, tripled INT AS (a * 3) STORED, hidden INT INVISIBLE DEFAULT 7, KEY by_tripled (tripled), KEY by_doubled (doubled))",
	"CREATE TABLE zoo.defaults (id INT PRIMARY KEY, at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3), d DATETIME DEFAULT '1000-01-01 00:00:00', e ENUM('a','b''c','') NOT NULL DEFAULT 'a', s SET('x','y') DEFAULT 'x,y', b BIT(4) DEFAULT b'101', j JSON, u UUID DEFAULT UUID(), n INT DEFAULT (1 + 2), zero DATE NOT NULL DEFAULT '0000-00-00')",
	"CREATE TABLE zoo.ranges (id INT NOT NULL, y INT NOT NULL, PRIMARY KEY (id, y)) PARTITION BY RANGE (y) SUBPARTITION BY HASH (id) SUBPARTITIONS 2 (PARTITION p0 VALUES LESS THAN (2000) COMMENT='old', PARTITION p1 VALUES LESS THAN MAXVALUE)",
	"CREATE TABLE zoo.lists (id INT PRIMARY KEY) PARTITION BY LIST (id) (PARTITION p0 VALUES IN (1,2,3), PARTITION p1 VALUES IN (4,5), PARTITION rest DEFAULT)",
	"CREATE TABLE zoo.hashed (id INT PRIMARY KEY) PARTITION BY KEY () PARTITIONS 3",
	"CREATE TABLE zoo.packed (id INT PRIMARY KEY, v VARCHAR(10)) ENGINE=InnoDB ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=8 STATS_PERSISTENT=1",
	"CREATE TABLE zoo.plain (id INT, KEY hash_like (id) USING BTREE COMMENT 'an index') ENGINE=Aria",
	"CREATE TABLE zoo.`od``d na.me` (`or der` INT PRIMARY KEY, `a``b` INT CHECK (`a``b` > 0))",
	"CREATE TABLE zoo.ignored (id INT PRIMARY KEY, v INT, KEY aside (v) IGNORED)",
	"CREATE TABLE zoo.long_key (id INT PRIMARY KEY, v TEXT, UNIQUE KEY whole (v) USING HASH)",
	"CREATE TABLE zoo.counted (id INT AUTO_INCREMENT PRIMARY KEY)",
	"INSERT INTO zoo.counted VALUES (1), (2), (9)", "DELETE FROM zoo.counted WHERE id = 9",
	"INSERT INTO zoo.parent VALUES (1, 'abc')", "INSERT INTO zoo.child VALUES (1, 1, 'abc', 1.5, 1, 2)", "INSERT INTO zoo.itself VALUES (1, 2), (2, 1)",
}

func testDefinitions(t *testing.T, f *fixture) {
	f.source.Exec(t, append([]string{"SET sql_mode = '', foreign_key_checks = 0"}, zoo...)...)
	opt, _ := f.options(t, "definitions", 1, "zoo")
	_, err := fullcopy.New(opt).Run(t.Context())
	require.NoError(t, err)
	f.requireEqual(t, "zoo")
	for table := range f.source.Checksums(t, "zoo") {
		name := strings.TrimPrefix(table, "zoo.")
		want, err := mysql.LoadCreate(f.source.Connect(t), "zoo", name)
		require.NoError(t, err)
		got, err := mysql.LoadCreate(f.target.Connect(t), "zoo", name)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	const schema = "SELECT CONCAT(default_character_set_name, ' ', default_collation_name) FROM information_schema.schemata WHERE schema_name = 'zoo'"
	require.Equal(t, one(t, f.source, schema), one(t, f.target, schema))
}

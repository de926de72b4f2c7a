package matrix

// Outcome is what becomes of a statement.
type Outcome string

// The outcomes.
const (
	Replayed Outcome = "executed on the target"
	Told     Outcome = "skipped, with an entry in `task_events`"
	Silent   Outcome = "skipped"
	Stops    Outcome = "stops the job"
)

// Definition is a statement of the source.
type Definition struct {
	Statement string
	Outcome   Outcome
}

// Before are the statements that come before each Definition, at both ends.
var Before = []string{
	"CREATE TABLE t (id INT PRIMARY KEY, a INT, b VARCHAR(20), c INT NOT NULL DEFAULT 1, KEY by_a (a), CONSTRAINT positive CHECK (c > 0))",
	"INSERT INTO t (id, a, b) VALUES (1, 1, 'x'), (2, 2, 'y')",
	"CREATE TABLE parent (id INT PRIMARY KEY)", "CREATE TABLE child (id INT PRIMARY KEY, p INT, CONSTRAINT f FOREIGN KEY (p) REFERENCES parent (id))",
	"CREATE TABLE parted (id INT PRIMARY KEY, v INT) PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN (20))",
	"INSERT INTO parted VALUES (1, 1), (11, 1)", "CREATE TABLE whole (id INT PRIMARY KEY, v INT)", "INSERT INTO whole VALUES (2, 2)",
	"CREATE TABLE place (id INT PRIMARY KEY, at POINT NOT NULL, words TEXT)",
	"CREATE SEQUENCE numbers",
}

// Definitions are the forms of statements, as one example each.
var Definitions = []Definition{
	{"CREATE TABLE n (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, v VARCHAR(30) COLLATE utf8mb4_bin COMMENT 'it''s', UNIQUE (v)) ENGINE=InnoDB COMMENT='new'", Replayed},
	{"CREATE TABLE n (id INT PRIMARY KEY, g INT AS (id * 2) VIRTUAL, s INT AS (id + 1) STORED, h INT INVISIBLE, CHECK (id > 0))", Replayed},
	{"CREATE TABLE n (id INT) PARTITION BY HASH (id) PARTITIONS 4", Replayed},
	{"CREATE TABLE n (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE)", Replayed},
	{"CREATE TABLE IF NOT EXISTS t (id INT)", Replayed},
	{"CREATE OR REPLACE TABLE t (id INT PRIMARY KEY, z INT)", Replayed},
	{"CREATE TABLE n LIKE t", Replayed},
	{"CREATE TABLE n (PRIMARY KEY (id)) AS SELECT id, a FROM t", Replayed},
	{"CREATE SEQUENCE more START WITH 5", Replayed},
	{"ALTER TABLE t ADD COLUMN d DATETIME(3) DEFAULT CURRENT_TIMESTAMP(3) AFTER a, DROP COLUMN b", Replayed},
	{"ALTER TABLE t MODIFY a BIGINT UNSIGNED NOT NULL FIRST, CHANGE b text_ TEXT", Replayed},
	{"ALTER TABLE t RENAME COLUMN a TO renamed, RENAME INDEX by_a TO by_renamed, ALTER c SET DEFAULT 7", Replayed},
	{"ALTER TABLE t ADD KEY (b), ADD UNIQUE KEY u (c, id), DROP KEY by_a, DROP PRIMARY KEY, ADD PRIMARY KEY (id, c)", Replayed},
	{"ALTER TABLE place ADD FULLTEXT KEY (words), ADD SPATIAL KEY (at)", Replayed},
	{"ALTER TABLE child DROP FOREIGN KEY f, ADD CONSTRAINT g FOREIGN KEY (p) REFERENCES parent (id) ON UPDATE CASCADE", Replayed},
	{"ALTER TABLE t DROP CONSTRAINT positive, ADD CONSTRAINT small CHECK (c < 100)", Replayed},
	{"ALTER TABLE t CONVERT TO CHARACTER SET latin1", Replayed},
	{"ALTER TABLE t ENGINE=InnoDB ROW_FORMAT=COMPRESSED COMMENT='tight' AUTO_INCREMENT=100", Replayed},
	{"ALTER TABLE t RENAME TO other", Replayed},
	{"ALTER ONLINE TABLE t ADD COLUMN e INT, ALGORITHM=INSTANT", Replayed},
	{"ALTER TABLE t FORCE", Replayed},
	{"ALTER TABLE parted ADD PARTITION (PARTITION p2 VALUES LESS THAN MAXVALUE)", Replayed},
	{"ALTER TABLE parted REORGANIZE PARTITION p0, p1 INTO (PARTITION p01 VALUES LESS THAN (20))", Replayed},
	{"ALTER TABLE parted DROP PARTITION p0", Replayed},
	{"ALTER TABLE parted TRUNCATE PARTITION p1", Replayed},
	{"ALTER TABLE parted EXCHANGE PARTITION p0 WITH TABLE whole", Replayed},
	{"ALTER TABLE parted REMOVE PARTITIONING", Replayed},
	{"ALTER SEQUENCE numbers MAXVALUE 1000", Replayed},
	{"SET STATEMENT lock_wait_timeout = 5 FOR ALTER TABLE t ADD COLUMN e INT", Replayed},
	{"CREATE UNIQUE INDEX i ON t (b(10))", Replayed},
	{"DROP INDEX by_a ON t", Replayed},
	{"RENAME TABLE t TO old, whole TO t", Replayed},
	{"TRUNCATE TABLE t", Replayed},
	{"DROP TABLE t, whole", Replayed},
	{"DROP SEQUENCE numbers", Replayed},
	{"ALTER DATABASE CHARACTER SET latin1", Replayed},
	{"CREATE TABLE n (id INT PRIMARY KEY, j JSON, KEY expression ((id + 1)), KEY many ((CAST(j->'$.a' AS UNSIGNED ARRAY))))", Replayed},
	{"CREATE TABLE n (id INT PRIMARY KEY, d DATETIME DEFAULT (NOW()), u VARCHAR(40) DEFAULT (CONCAT('a', 'b')), CONSTRAINT loose CHECK ((id > 0)) NOT ENFORCED)", Replayed},
	{"CREATE TABLE n (id INT PRIMARY KEY, p POINT NOT NULL SRID 4326, SPATIAL KEY (p))", Replayed},
	{"CREATE TABLE n (id INT PRIMARY KEY, v VARCHAR(20)) COLLATE utf8mb4_0900_as_cs", Replayed},
	{"ALTER TABLE t ADD COLUMN d INT FIRST, ALGORITHM=INSTANT", Replayed},
	{"ALTER TABLE t DROP COLUMN b, ALGORITHM=INSTANT", Replayed},
	{"ALTER TABLE t ALTER INDEX by_a INVISIBLE, ALTER COLUMN b SET INVISIBLE", Replayed},
	{"ALTER TABLE t ALTER CHECK positive NOT ENFORCED", Replayed},
	{"CREATE VIEW v AS SELECT id FROM t", Told},
	{"CREATE TRIGGER r BEFORE INSERT ON whole FOR EACH ROW SET NEW.v = 1", Told},
	{"CREATE PROCEDURE p() SELECT 1", Told},
	{"CREATE FUNCTION f() RETURNS INT DETERMINISTIC RETURN 1", Told},
	{"CREATE EVENT e ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 00:00:00' DO DELETE FROM t", Told},
	{"CREATE ROLE reader", Told},
	{"GRANT SELECT ON *.* TO PUBLIC", Told},
	{"CREATE TEMPORARY TABLE n (id INT)", Silent},
	{"ANALYZE TABLE t", Silent},
	{"OPTIMIZE TABLE t", Silent},
	{"FLUSH TABLES", Silent},
	{"RENAME TABLE outside.t TO entered", Stops},
	{"XA START 'x'; INSERT INTO t (id) VALUES (9); XA END 'x'; XA PREPARE 'x'", Stops},
}

package ddl

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// moved renames the schema a to b, and its table t to t2.
type moved struct{}

func (moved) TargetSchema(name string) (string, error) {
	if name == "a" {
		return "b", nil
	}
	return name, nil
}

func (m moved) Target(name Name) (Name, error) {
	schema, err := m.TargetSchema(name.Schema)
	if name.Schema == "a" && name.Table == "t" {
		name.Table = "t2"
	}
	return Name{Schema: schema, Table: name.Table}, err
}

// same renames nothing.
type same struct{}

func (same) TargetSchema(name string) (string, error) { return name, nil }
func (same) Target(name Name) (Name, error)           { return name, nil }

func TestObjectAtTheTarget(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text, schema string
		names        Names
		first, want  string
	}{
		{"CREATE VIEW v AS SELECT 1", "a", same{}, "", "CREATE OR REPLACE VIEW v AS SELECT 1"},
		{
			"CREATE OR REPLACE ALGORITHM=MERGE DEFINER=`view`@`%` SQL SECURITY INVOKER VIEW `a`.`v` (`as`) AS SELECT 1", "",
			same{},
			"",
			"CREATE OR REPLACE ALGORITHM=MERGE DEFINER=`view`@`%` SQL SECURITY INVOKER VIEW `a`.`v` (`as`) AS SELECT 1",
		},
		{"ALTER ALGORITHM=UNDEFINED VIEW v AS SELECT 1", "a", same{}, "", "CREATE OR REPLACE ALGORITHM=UNDEFINED VIEW v AS SELECT 1"},
		{"CREATE VIEW IF NOT EXISTS v AS SELECT 1", "a", same{}, "", "CREATE VIEW IF NOT EXISTS v AS SELECT 1"},
		{"DROP VIEW IF EXISTS v, c.w CASCADE", "a", moved{}, "", "DROP VIEW IF EXISTS `b`.`v`, `c`.`w`"},
		{
			"CREATE VIEW v AS SELECT t.id, a.f(a.t.x) FROM a.t WHERE id > 1 WITH LOCAL CHECK OPTION", "a",
			moved{},
			"",
			"CREATE OR REPLACE VIEW `b`.`v` AS SELECT `t`.`id`,`b`.`f`(`t`.`x`) FROM `b`.`t2` AS `t` WHERE `id`>1 WITH LOCAL CHECK OPTION",
		},
		{"CREATE VIEW v AS SELECT x.id FROM c.u AS x", "c", moved{}, "", "CREATE OR REPLACE VIEW v AS SELECT x.id FROM c.u AS x"},
		{"CREATE DEFINER=`x`@`y` PROCEDURE p() SELECT 1 -- DROP", "a", same{}, "DROP PROCEDURE IF EXISTS `a`.`p`", "CREATE DEFINER=`x`@`y` PROCEDURE p() SELECT 1 -- DROP"},
		{"CREATE OR REPLACE FUNCTION a.f() RETURNS INT RETURN 1", "", moved{}, "DROP FUNCTION IF EXISTS `b`.`f`", "CREATE  FUNCTION `b`.`f`() RETURNS INT RETURN 1"},
		{"CREATE FUNCTION IF NOT EXISTS f() RETURNS INT RETURN 1", "a", same{}, "", "CREATE FUNCTION IF NOT EXISTS f() RETURNS INT RETURN 1"},
		{"ALTER PROCEDURE p COMMENT 'x'", "a", moved{}, "", "ALTER PROCEDURE `b`.`p` COMMENT 'x'"},
		{"DROP PROCEDURE p", "a", moved{}, "", "DROP PROCEDURE IF EXISTS `b`.`p`"},
		{"CREATE PACKAGE BODY a.p AS END", "", same{}, "DROP PACKAGE BODY IF EXISTS `a`.`p`", "CREATE PACKAGE BODY a.p AS END"},
		{
			"CREATE DEFINER=CURRENT_USER() TRIGGER tr BEFORE INSERT ON t FOR EACH ROW FOLLOWS other SET NEW.v = 1 -- end", "a",
			moved{},
			"DROP TRIGGER IF EXISTS `b`.`tr`",
			"CREATE DEFINER=CURRENT_USER() TRIGGER `b`.`tr` BEFORE INSERT ON `b`.`t2` FOR EACH ROW FOLLOWS other IF @opsdeck_applying IS NULL THEN SET NEW.v = 1 -- end\n; END IF",
		},
		{
			"CREATE TRIGGER tr AFTER DELETE ON t FOR EACH ROW " + Guard + "SET @x = 1\n; END IF", "a",
			same{},
			"DROP TRIGGER IF EXISTS `a`.`tr`",
			"CREATE TRIGGER tr AFTER DELETE ON t FOR EACH ROW " + Guard + "SET @x = 1\n; END IF",
		},
		{
			"CREATE EVENT e ON SCHEDULE EVERY 1 DAY ON COMPLETION PRESERVE ENABLE COMMENT 'x' DO SELECT 1", "a",
			same{},
			"DROP EVENT IF EXISTS `a`.`e`",
			"CREATE EVENT e ON SCHEDULE EVERY 1 DAY ON COMPLETION PRESERVE DISABLE ON SLAVE COMMENT 'x' DO SELECT 1",
		},
		{"CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO SELECT 1", "a", same{}, "DROP EVENT IF EXISTS `a`.`e`", "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DISABLE ON SLAVE DO SELECT 1"},
		{"ALTER EVENT e DISABLE ON SLAVE", "a", same{}, "", "ALTER EVENT e DISABLE ON SLAVE"},
		{"ALTER EVENT e DISABLE", "a", same{}, "", "ALTER EVENT e DISABLE ON SLAVE"},
		{"ALTER EVENT e COMMENT 'x'", "a", same{}, "", "ALTER EVENT e COMMENT 'x'"},
	} {
		o, err := ParseObject(c.text, Session{Schema: c.schema})
		require.NoError(t, err, c.text)
		s, err := o.Target(c.names, o.Names)
		require.NoError(t, err, c.text)
		require.Equal(t, c.want, s.Text)
		require.Equal(t, c.first, s.First, c.text)
		require.True(t, s.Repeatable())
	}
}

func TestObjectThatCannotBeRenamed(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"CREATE PROCEDURE a.p() SELECT * FROM t":                                        "names `a`.`t`, which is `b`.`t2`",
		"CREATE PROCEDURE c.p() SELECT * FROM a.u":                                      "names `a`.`u`",
		"CREATE TRIGGER a.tr AFTER INSERT ON a.u FOR EACH ROW INSERT INTO `t` SELECT 1": "names `a`.`t`",
		"CREATE EVENT a.e ON SCHEDULE EVERY 1 DAY DO CALL a.p()":                        "names `a`.`p`",
		"CREATE VIEW a.v AS SELECT NEXTVAL(a.s), x FROM UNKNOWN SYNTAX a.t":             "cannot be renamed",
		"CREATE TRIGGER a.tr AFTER INSERT ON a.u":                                       "not understood",
		"CREATE VIEW a.v":          "not understood",
		"GRANT SELECT ON a.v TO b": "not understood",
	} {
		o, err := ParseObject(text, Session{})
		if err == nil {
			_, err = o.Target(moved{}, o.Names)
		}
		require.ErrorContains(t, err, want, text)
	}
}

func TestOwnDefiner(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"CREATE OR REPLACE DEFINER=`a b`@`%` VIEW s.v AS SELECT 1": "CREATE OR REPLACE DEFINER=CURRENT_USER VIEW s.v AS SELECT 1",
		"CREATE DEFINER = admin PROCEDURE p() SELECT 1":            "CREATE DEFINER=CURRENT_USER PROCEDURE p() SELECT 1",
		"CREATE EVENT s.e ON SCHEDULE EVERY 1 DAY DO SELECT 1":     "CREATE EVENT s.e ON SCHEDULE EVERY 1 DAY DO SELECT 1",
	} {
		got, other, err := Statement{Text: text, session: Session{Schema: "s"}}.OwnDefiner()
		require.NoError(t, err)
		require.Equal(t, want, got.Text)
		require.Equal(t, want != text, other)
	}
}

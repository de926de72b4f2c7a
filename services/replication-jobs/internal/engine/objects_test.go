package engine_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/apply"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/engine"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/filter"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/fullcopy"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mapping"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/objects"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

// kinds are statements that make one object of each kind in a schema with the tables t (id, v) and log (id).
func kinds(schema string) []string {
	return mysqltest.Known(
		"CREATE DATABASE "+schema, "CREATE TABLE "+schema+".t (id INT PRIMARY KEY, v INT)",
		"CREATE TABLE "+schema+".log (n INT AUTO_INCREMENT PRIMARY KEY, id INT)",
		"CREATE SEQUENCE "+schema+".s START WITH 100 CACHE 10",
		"CREATE FUNCTION "+schema+".f(x INT) RETURNS INT DETERMINISTIC RETURN x + 1",
		"CREATE PROCEDURE "+schema+".p(OUT n INT) SQL SECURITY INVOKER COMMENT 'counts' BEGIN SELECT COUNT(*) INTO n FROM t; END",
		"CREATE VIEW "+schema+".z AS SELECT id, v FROM "+schema+".t WHERE v > 0",
		"CREATE VIEW "+schema+".a AS SELECT id, "+schema+".f(v) AS w FROM "+schema+".z AS q", // before z by its name
		"CREATE TRIGGER "+schema+".later AFTER INSERT ON "+schema+".t FOR EACH ROW BEGIN INSERT INTO log (id) VALUES (NEW.id); END",
		"CREATE TRIGGER "+schema+".half BEFORE UPDATE ON "+schema+".t FOR EACH ROW SET NEW.v = NEW.v + 1 -- one more",
		"CREATE EVENT "+schema+".e ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 00:00:00' COMMENT 'daily' DO DELETE FROM log",
	)
}

func TestObjectsThatAreLeftOutAreNamed(t *testing.T) {
	t.Parallel()
	p := &pair{source: mysqltest.Start(t, 1), target: mysqltest.Start(t, 2)}
	p.source.Exec(t, kinds("shop")...)
	for id, adjust := range map[string]func(*engine.Job){
		"copied":  func(*engine.Job) {},
		"present": func(j *engine.Job) { j.AutoGTID = true },
	} {
		job := p.job(id, 1, "shop")
		adjust(&job)
		run := start(t, job)
		run.awaitEvent(t, "Driver: job_stage_incr")
		run.stop(t)
		require.NoError(t, progress.Forget(p.target.Connect(t), id, job.Incarnation)) // the other one takes its tables
		events, _, _ := run.snapshot()
		if mysqltest.Has("SEQUENCE") {
			require.Contains(t, events, "1 sequences (shop.s), ")
		}
		require.Regexp(t, `2 routines \(shop.f, shop.p\), 2 views \(shop.a, shop.z\), 2 triggers \(shop.(later, shop.half|half, shop.later)\), 1 events \(shop.e\)`, events, id)
	}
}

// everything are all kinds.
var everything = []objects.Kind{objects.Views, objects.Triggers, objects.Routines, objects.Events, objects.Sequences}

// defined are the objects of a schema as the server shows them, by type and name. Of triggers and events it leaves out by what they differ on
// purpose: the guard, and being switched off.
func defined(t *testing.T, s *mysqltest.Server, schema string) map[string]string {
	t.Helper()
	c, err := mysql.Connect(t.Context(), s.Config())
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	m, err := mapping.New([]filter.SchemaRule{{Schema: schema}}, nil)
	require.NoError(t, err)
	all, err := objects.List(c, m)
	require.NoError(t, err)
	out := map[string]string{}
	shown, err := objects.Load(c, objects.Except(all, []objects.Kind{objects.Sequences}), func(objects.Object) {})
	if err != nil {
		return nil // one of them has gone in between
	}
	for _, d := range shown {
		text := strings.Replace(strings.Replace(string(d.Text), ddl.Guard, "", 1), "\n; END IF", "", 1)
		text = strings.Replace(text, "DISABLE ON SLAVE", "ENABLE", 1)
		if mysqltest.Mixed() { // they show the same in different words
			d.Session, text = progress.ObjectSession{}, ""
		}
		out[d.Type+" "+d.Name] = fmt.Sprintf("%+v %s", d.Session, text)
	}
	for _, o := range all {
		if o.Kind == objects.Sequences {
			out[o.Type+" "+o.Name] = answer(t, s, "SELECT CONCAT_WS(' ', start_value, increment, cache_size) FROM "+o.String())[0]
		}
	}
	return out
}

func (p *pair) awaitDefined(t *testing.T, r *running, schema string) {
	t.Helper()
	want := defined(t, p.source, schema)
	require.NotEmpty(t, want)
	var got map[string]string
	defer func() {
		if t.Failed() {
			require.Equal(t, want, got)
		}
	}()
	r.await(t, func() bool {
		got = defined(t, p.target, schema)
		return maps.Equal(want, got)
	})
}

func TestObjects(t *testing.T) {
	t.Parallel()
	p := &pair{source: mysqltest.Start(t, 1), target: mysqltest.Start(t, 2)}
	for name, test := range map[string]func(*testing.T, *pair){
		"all kinds are copied and followed":       testObjects,
		"a job of the full stage":                 testObjectsFull,
		"an interrupted copy":                     testObjectsInterrupted,
		"what the target has is not replaced":     testObjectsTaken,
		"renames":                                 testObjectsRenamed,
		"the definer is missing":                  testObjectsDefiner,
		"definitions keep the session of theirs":  testObjectsSessions,
		"a broken view, and one that cannot live": testObjectsBroken,
		"a table takes its default of a sequence": testObjectsDefault,
		"a schema without tables":                 testObjectsAlone,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, p)
		})
	}
}

func testObjects(t *testing.T, p *pair) {
	p.source.Exec(t, kinds("all_kinds")...)
	p.source.Exec(t, mysqltest.Known("INSERT INTO all_kinds.t VALUES (1, 1), (2, 2)", "SELECT NEXTVAL(all_kinds.s)")...)
	job := p.job("objects", 1, "all_kinds")
	job.Objects = everything
	run := start(t, job)
	p.awaitDefined(t, run, "all_kinds")
	if mysqltest.Has("SEQUENCE") {
		run.awaitEvent(t, "copied 1 sequences (all_kinds.s)")
	}
	run.awaitEvent(t, "copied 2 routines (all_kinds.f, all_kinds.p), 2 views (all_kinds.a, all_kinds.z), 2 triggers (all_kinds.")
	p.source.Exec(t, mysqltest.Known("USE all_kinds", "INSERT INTO t VALUES (3, 3), (4, 4)", "UPDATE t SET v = v * 10", "INSERT INTO t VALUES (NEXTVAL(s), 1)", "DELETE FROM t WHERE id = 1")...)
	p.awaitEqual(t, run, "all_kinds")
	require.Equal(t, []string{"SLAVESIDE_DISABLED"}, answer(t, p.target, "SELECT status FROM information_schema.events WHERE event_schema = 'all_kinds'"))
	require.Equal(t, answer(t, p.source, "SELECT * FROM all_kinds.a ORDER BY id"), answer(t, p.target, "SELECT * FROM all_kinds.a ORDER BY id"))

	p.source.Exec(t, mysqltest.Known("USE all_kinds", "CREATE OR REPLACE VIEW z AS SELECT id, v FROM t WHERE v > 5", "ALTER VIEW a AS SELECT id FROM z",
		"CREATE VIEW gone AS SELECT 1", "DROP VIEW gone",
		"DROP FUNCTION f", "CREATE FUNCTION f(x INT) RETURNS INT DETERMINISTIC RETURN x + 2", "CREATE PROCEDURE IF NOT EXISTS p() SELECT 'never'",
		"ALTER PROCEDURE p SQL SECURITY DEFINER COMMENT 'other'", "CREATE OR REPLACE PROCEDURE q() SELECT 2", "DROP PROCEDURE IF EXISTS q",
		"DROP TRIGGER half", "CREATE TRIGGER third AFTER DELETE ON t FOR EACH ROW INSERT INTO log (id) VALUES (-OLD.id)",
		"ALTER EVENT e ON SCHEDULE EVERY 2 DAY STARTS '2030-01-01 00:00:00' ENABLE", "ALTER EVENT e RENAME TO e2",
		"CREATE EVENT more ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 00:00:00' DO SELECT 'ENABLE'",
		"CREATE SEQUENCE s2 INCREMENT BY 5", "DELETE FROM t WHERE id = 2", "INSERT INTO t VALUES (5, NEXTVAL(s2))", "UPDATE t SET v = v + 1")...)
	p.awaitDefined(t, run, "all_kinds")
	p.awaitEqual(t, run, "all_kinds")
	require.Equal(t, []string{"SLAVESIDE_DISABLED", "SLAVESIDE_DISABLED"}, answer(t, p.target, "SELECT status FROM information_schema.events WHERE event_schema = 'all_kinds'"))
	run.stop(t)

	p.source.Exec(t, "USE all_kinds", "DROP VIEW a", "DROP TRIGGER later", "INSERT INTO t VALUES (6, 6)", "DROP EVENT e2", "CREATE VIEW b AS SELECT COUNT(*) FROM t")
	run = start(t, p.again(job))
	p.awaitDefined(t, run, "all_kinds")
	p.awaitEqual(t, run, "all_kinds")
	run.stop(t)
}

// again is the next run of a job.
func (p *pair) again(job engine.Job) engine.Job {
	job.Epoch++
	return job
}

func testObjectsFull(t *testing.T, p *pair) {
	p.source.Exec(t, kinds("full_kinds")...)
	p.source.Exec(t, "INSERT INTO full_kinds.t VALUES (1, 1), (2, 2)")
	job := p.job("full-objects", 1, "full_kinds")
	job.Step, job.Objects = "job_stage_full", everything
	run := start(t, job)
	require.NoError(t, <-run.done)
	require.Equal(t, defined(t, p.source, "full_kinds"), defined(t, p.target, "full_kinds"))
	require.True(t, p.equal(t, "full_kinds"))
	p.target.Exec(t, "INSERT INTO full_kinds.t VALUES (9, 9)")
	require.Equal(t, []string{"9"}, answer(t, p.target, "SELECT id FROM full_kinds.log WHERE id = 9"), "triggers run for others than replication")
}

// testObjectsInterrupted kills a copy whose tables are of two snapshots: a view of the later one needs a column that the earlier one's table gets only
// from the binary log.
func testObjectsInterrupted(t *testing.T, p *pair) {
	p.source.Exec(t, kinds("cut_kinds")...)
	p.source.Exec(t, "CREATE TABLE cut_kinds.large (id INT PRIMARY KEY, v VARCHAR(100))", "INSERT INTO cut_kinds.large SELECT seq, REPEAT('x', 100) FROM mysql.seq_1_to_20000",
		"INSERT INTO cut_kinds.t VALUES (1, 1)")
	job := p.job("cut-objects", 1, "cut_kinds")
	job.Objects = everything
	m, err := mapping.New(job.Do, nil)
	require.NoError(t, err)
	c := p.target.Connect(t)
	require.NoError(t, progress.Ensure(c))
	_, err = progress.Claim(c, job.ID, job.Incarnation, job.Epoch)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	_, err = fullcopy.New(fullcopy.Options{
		Source: job.Source, Target: job.Target, JobID: job.ID, Epoch: 1, Mapping: m, ChunkSize: 10, Readers: 2, Writers: 1, Objects: job.Objects, Log: zap.NewNop(),
		Event: func(_, message string) {
			if strings.HasPrefix(message, "cut_kinds.t is copied") {
				cancel()
			}
		},
	}).Run(ctx)
	require.ErrorIs(t, err, context.Canceled)
	p.source.Exec(t, "USE cut_kinds", "ALTER TABLE t ADD w INT DEFAULT 5", "CREATE OR REPLACE VIEW z AS SELECT id, v, w FROM t", "INSERT INTO t VALUES (2, 2, 2)", "DROP PROCEDURE p")
	run := start(t, p.again(job))
	p.awaitDefined(t, run, "cut_kinds")
	p.awaitEqual(t, run, "cut_kinds")
	run.stop(t)
	require.Empty(t, answer(t, p.target, "SELECT object_name FROM opsdeck.replication_object WHERE job_id = 'cut-objects'"))
}

func testObjectsTaken(t *testing.T, p *pair) {
	p.source.Exec(t, kinds("taken")...)
	p.target.Exec(t, "CREATE DATABASE taken", "CREATE VIEW taken.a AS SELECT 'mine'", "CREATE FUNCTION taken.other() RETURNS INT DETERMINISTIC RETURN 1")
	job := p.job("taken", 1, "taken")
	job.Objects, job.Step = everything, "job_stage_full"
	require.ErrorContains(t, <-start(t, job).done, "has 1 views (taken.a) already")
	require.Equal(t, []string{"mine"}, answer(t, p.target, "SELECT * FROM taken.a"))
	job = p.again(job)
	job.DropTableIfExists = true
	require.NoError(t, <-start(t, job).done)
	require.Empty(t, answer(t, p.target, "SELECT * FROM taken.a"))
}

func testObjectsRenamed(t *testing.T, p *pair) {
	p.source.Exec(t, "CREATE DATABASE before_", "CREATE TABLE before_.t (id INT PRIMARY KEY, v INT)", "CREATE TABLE before_.u (id INT PRIMARY KEY)", "INSERT INTO before_.t VALUES (1, 2)",
		"CREATE FUNCTION before_.f(x INT) RETURNS INT DETERMINISTIC RETURN x + 1", "CREATE VIEW before_.v AS SELECT t.id, before_.f(t.v) AS w FROM before_.t JOIN before_.t AS o USING (id) WHERE t.v > 0 WITH CASCADED CHECK OPTION",
		"CREATE TRIGGER before_.tr AFTER INSERT ON before_.t FOR EACH ROW INSERT INTO u VALUES (NEW.id)")
	job := p.job("renamed-objects", 1, "before_")
	job.Do = []filter.SchemaRule{{Schema: "before_", Rename: "after_", Tables: []filter.TableRule{{Name: "t", Rename: "t2"}, {Name: "u"}, {Name: "v"}, {Regex: "^v"}}}}
	job.Objects = everything
	run := start(t, job)
	p.awaitAnswer(t, run, "SELECT CONCAT(id, ' ', w) FROM after_.v", "1 3")
	p.source.Exec(t, "USE before_", "INSERT INTO t VALUES (2, 3)", "CREATE VIEW v2 AS SELECT v.w FROM v WHERE id IN (SELECT id FROM t)")
	p.awaitAnswer(t, run, "SELECT w FROM after_.v2", "3", "4")
	p.awaitAnswer(t, run, "SELECT id FROM after_.u", "2")
	p.source.Exec(t, "CREATE PROCEDURE before_.p() SELECT * FROM t")
	require.ErrorContains(t, <-run.done, "names `before_`.`t`, which is `after_`.`t2` at the target")
}

func testObjectsDefiner(t *testing.T, p *pair) {
	p.source.Exec(t, "CREATE DATABASE owned", "CREATE TABLE owned.t (id INT PRIMARY KEY)", "CREATE DEFINER='nobody'@'nowhere' VIEW owned.v AS SELECT 1", "CREATE USER keeper@localhost", "CREATE DEFINER=keeper@localhost SQL SECURITY INVOKER VIEW owned.kept AS SELECT 1")
	p.target.Exec(t, "CREATE USER keeper@localhost")
	p.source.Exec(t, "CREATE DEFINER='nobody'@'nowhere' PROCEDURE owned.p() SELECT 1")
	job := p.job("owned", 1, "owned")
	job.Objects = everything
	run := start(t, job)
	p.awaitAnswer(t, run, "SELECT CONCAT_WS(' ', table_name, definer, security_type) FROM information_schema.views WHERE table_schema = 'owned' ORDER BY table_name",
		"kept keeper@localhost INVOKER", "v "+p.target.User()+"@127.0.0.1 DEFINER")
	p.source.Exec(t, "USE owned", "CREATE DEFINER='nobody'@'nowhere' TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET NEW.id = 1",
		"CREATE DEFINER='nobody'@'nowhere' EVENT e ON SCHEDULE EVERY 1 DAY DO SELECT 1")
	p.awaitAnswer(t, run, "SELECT definer FROM information_schema.events WHERE event_schema = 'owned'", p.target.User()+"@127.0.0.1")
	p.awaitAnswer(t, run, "SELECT definer FROM information_schema.triggers WHERE trigger_schema = 'owned'", p.target.User()+"@127.0.0.1")
	p.awaitAnswer(t, run, "SELECT definer FROM information_schema.routines WHERE routine_schema = 'owned'", p.target.User()+"@127.0.0.1")
	run.stop(t)
	events, _, _ := run.snapshot()
	for _, name := range []string{"v", "p", "tr", "e"} {
		require.Contains(t, events+"\n", "the account itself defines owned."+name+"\n")
	}
	require.NotContains(t, events, "defines owned.kept")
}

func testObjectsSessions(t *testing.T, p *pair) {
	const names, mode = "SET NAMES latin1", "SET sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT'"
	p.source.Exec(t, "CREATE DATABASE modes", "CREATE TABLE modes.t (id INT PRIMARY KEY)", names, mode,
		"CREATE FUNCTION modes.f() RETURNS VARCHAR(9) CHARACTER SET utf8mb4 DETERMINISTIC RETURN '\xe9' || 'x'", "CREATE VIEW modes.\"v w\" AS SELECT '\xe9' AS \"a\"")
	job := p.job("modes", 1, "modes")
	job.Objects = everything
	run := start(t, job)
	p.awaitDefined(t, run, "modes")
	p.source.Exec(t, names, mode, "CREATE FUNCTION modes.g() RETURNS VARCHAR(9) CHARACTER SET utf8mb4 DETERMINISTIC RETURN '\xe9' || 'y'",
		`CREATE TRIGGER modes.tr BEFORE INSERT ON modes.t FOR EACH ROW SET NEW."id" = LENGTH('a' || 'b')`)
	// The log has the text of a routine in utf8mb4, whatever its session had.
	p.awaitAnswer(t, run, "SELECT CONCAT_WS(' ', modes.f(), modes.g(), a) FROM modes.`v w`", "éx éy é")
	p.awaitAnswer(t, run, "SELECT sql_mode FROM information_schema.triggers WHERE trigger_schema = 'modes'", "PIPES_AS_CONCAT,ANSI_QUOTES")
	run.stop(t)
}

func testObjectsBroken(t *testing.T, p *pair) {
	p.source.Exec(t, "CREATE DATABASE broken", "CREATE DATABASE outside", "CREATE TABLE outside.t (id INT)", "CREATE TABLE broken.t (id INT PRIMARY KEY)", "CREATE TABLE broken.u (id INT PRIMARY KEY)",
		"CREATE VIEW broken.v AS SELECT id FROM broken.u", "DROP TABLE broken.u", "CREATE VIEW broken.w AS SELECT id FROM outside.t")
	job := p.job("broken", 1, "broken")
	job.Objects, job.Step = everything, "job_stage_full"
	run := start(t, job)
	err := <-run.done
	require.ErrorContains(t, err, "create the view broken.w on the target")
	events, _, _ := run.snapshot()
	require.Contains(t, events, "view broken.v refers to what the source does not have")
	p.target.Exec(t, "CREATE DATABASE outside", "CREATE TABLE outside.t (id INT)")
	run = start(t, p.again(job))
	require.NoError(t, <-run.done)
	require.Equal(t, []string{"w"}, answer(t, p.target, "SELECT table_name FROM information_schema.views WHERE table_schema = 'broken'"))

	// The operator has the job go on without it; what the source does about the view afterwards is followed.
	p.target.Exec(t, "DROP DATABASE outside")
	job.Incarnation, job.Epoch, job.Step, job.DropTableIfExists = "another", 5, "", true
	err = <-start(t, job).done
	var stopped *apply.StoppedError
	require.ErrorAs(t, err, &stopped)
	job.Epoch, job.Decisions = 6, []ddl.Decision{{Position: stopped.Position}}
	run = start(t, job)
	run.awaitEvent(t, "as decided, the view broken.w is left out")
	p.source.Exec(t, "CREATE OR REPLACE VIEW broken.w AS SELECT id FROM broken.t", "CREATE VIEW broken.x AS SELECT id FROM broken.w")
	p.awaitAnswer(t, run, "SELECT table_name FROM information_schema.views WHERE table_schema = 'broken' ORDER BY 1", "w", "x")
	require.Equal(t, []string{"0"}, answer(t, p.target, "SELECT COUNT(*) FROM opsdeck.replication_object WHERE job_id = 'broken'"))
	run.stop(t)
}

func testObjectsDefault(t *testing.T, p *pair) {
	mysqltest.NeedMariaDB(t, "sequences", mysqltest.Source, mysqltest.Target)
	p.source.Exec(t, "CREATE DATABASE numbered", "CREATE SEQUENCE numbered.s", "CREATE TABLE numbered.t (id INT PRIMARY KEY DEFAULT NEXTVAL(numbered.s))", "INSERT INTO numbered.t VALUES (DEFAULT), (DEFAULT)")
	job := p.job("numbered", 1, "numbered")
	job.Objects, job.Step = everything, "job_stage_full"
	require.NoError(t, <-start(t, job).done)
	p.target.Exec(t, "INSERT INTO numbered.t VALUES (DEFAULT)")
	require.Equal(t, []string{"3"}, answer(t, p.target, "SELECT COUNT(*) FROM numbered.t"))
}

func testObjectsAlone(t *testing.T, p *pair) {
	p.source.Exec(t, "CREATE DATABASE alone", "CREATE PROCEDURE alone.p() SELECT 1")
	job := p.job("alone", 1, "alone")
	job.Objects, job.Step = everything, "job_stage_full"
	require.NoError(t, <-start(t, job).done)
	require.Equal(t, defined(t, p.source, "alone"), defined(t, p.target, "alone"))
}

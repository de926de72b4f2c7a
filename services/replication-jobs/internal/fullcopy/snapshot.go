package fullcopy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mapping"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/objects"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

const (
	// lockPatience bounds how long writers at the source can be held up: while FLUSH TABLES waits for a long statement, everybody
	// else waits behind it.
	lockPatience = "5"
	// snapshotTries bounds how often definitions may change, or transactions slip in, between two looks.
	snapshotTries = 50
	snapshotPause = 100 * time.Millisecond
)

// snapshot is a set of source sessions that all see the data of one position.
type snapshot struct {
	readers  []*mysql.Conn
	position mysql.Position
	// tables are those selected, with definitions that were the same before and after the snapshot was taken.
	tables []*mysql.Table
	// creates are their statements, by schema.table.
	creates map[string]string
	// sequences and objects are what the snapshot has of the kinds that are copied besides tables.
	sequences []objects.Object
	objects   []progress.Object
}

func (s *snapshot) close() {
	for _, r := range s.readers {
		_ = r.Close() // a read-only session has nothing to lose
	}
}

// takeSnapshot opens the sessions. Definitions have no snapshots: it tries until they stay the same around one.
func takeSnapshot(ctx context.Context, opt Options) (*snapshot, error) {
	c, err := mysql.Connect(ctx, opt.Source)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	for range snapshotTries {
		s, err := stable(ctx, c, opt)
		if err != nil || s != nil {
			return s, err
		}
		if err := pause(ctx, snapshotPause); err != nil {
			return nil, err
		}
	}
	return nil, &mysql.Error{Sentence: "the definitions of the source's tables change all the time: copy when no ALTER TABLE runs"}
}

// stable opens the sessions; it returns nil if a definition has changed around that.
func stable(ctx context.Context, c *mysql.Conn, opt Options) (*snapshot, error) {
	s := &snapshot{}
	err := s.define(c, opt)
	if errors.Is(err, objects.ErrGone) {
		return nil, nil //nolint:nilnil // documented
	}
	if err == nil {
		err = s.open(ctx, c, opt)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	opt.Event = func(string, string) {} // it has told
	after := &snapshot{}
	if err := after.define(c, opt); err == nil && s.alike(after) {
		s.creates = after.creates // with counters that no row of the snapshot has passed
		return s, nil
	}
	s.close()
	return nil, nil //nolint:nilnil // documented
}

// define reads all definitions that are copied.
func (s *snapshot) define(c *mysql.Conn, opt Options) error {
	var err error
	if s.tables, s.creates, err = definitions(c, opt); err != nil {
		return err
	}
	return s.loadObjects(c, opt)
}

// alike reports whether two snapshots have the same definitions.
func (s *snapshot) alike(other *snapshot) bool {
	return maps.EqualFunc(s.creates, other.creates, sameDefinition) && reflect.DeepEqual(s.objects, other.objects) && slices.Equal(s.sequences, other.sequences)
}

// definitions reads the selected tables and their CREATE statements, by schema.table.
func definitions(c *mysql.Conn, opt Options) ([]*mysql.Table, map[string]string, error) {
	tables, err := mysql.LoadTables(c, opt.Mapping.Table)
	if err != nil {
		return nil, nil, mysql.Explain(err)
	}
	creates := make(map[string]string, len(tables))
	for _, t := range tables {
		if creates[t.String()], err = mysql.LoadCreate(c, t.Schema, t.Name); err != nil {
			return nil, nil, mysql.Explain(err)
		}
	}
	return tables, creates, nil
}

// autoIncrement is the table option that changes with every insert.
var autoIncrement = regexp.MustCompile(` AUTO_INCREMENT=\d+`)

// withoutCounter is what a CREATE TABLE says of the table itself.
func withoutCounter(create string) string { return autoIncrement.ReplaceAllString(create, "") }

func sameDefinition(a, b string) bool { return withoutCounter(a) == withoutCounter(b) }

func fingerprint(create string) string {
	sum := sha256.Sum256([]byte(withoutCounter(create)))
	return hex.EncodeToString(sum[:])
}

// open starts the transactions under a global read lock, which is held for milliseconds. Where that cannot be had, one session alone
// is used, whose position the server knows, or which nothing was committed around.
func (s *snapshot) open(ctx context.Context, c *mysql.Conn, opt Options) error {
	if _, err := c.Execute("SET SESSION lock_wait_timeout = " + lockPatience); err != nil {
		return fmt.Errorf("prepare the snapshot: %w", mysql.Explain(err))
	}
	for range opt.Readers {
		if err := s.addReader(ctx, opt); err != nil {
			return err
		}
	}
	_, err := c.Execute("FLUSH TABLES WITH READ LOCK")
	switch mysql.Code(err) {
	case gomysql.ER_SPECIFIC_ACCESS_DENIED_ERROR, gomysql.ER_LOCK_WAIT_TIMEOUT, gomysql.ER_ACCESS_DENIED_ERROR, gomysql.ER_DBACCESS_DENIED_ERROR:
		opt.Event("copy", "no global read lock to be had (it needs the privilege RELOAD and no long-running statement): reading through one session")
		return s.openAlone(ctx, c)
	}
	if err != nil {
		return fmt.Errorf("lock the source for its snapshot: %w", mysql.Explain(err))
	}
	err = s.begin()
	if err == nil {
		s.position, err = c.Flavor.CurrentPosition(c)
	}
	_, unlockErr := c.Execute("UNLOCK TABLES")
	if err := errors.Join(err, unlockErr); err != nil {
		return fmt.Errorf("take a snapshot of the source: %w", mysql.Explain(err))
	}
	return nil
}

func (s *snapshot) openAlone(ctx context.Context, c *mysql.Conn) error {
	for _, extra := range s.readers[1:] {
		_ = extra.Close() // it has done nothing
	}
	s.readers = s.readers[:1]
	for range snapshotTries {
		before, err := c.Flavor.CurrentPosition(c)
		if err != nil {
			return err
		}
		if err := s.begin(); err != nil {
			return mysql.Explain(err)
		}
		var known bool
		if s.position, known, err = c.Flavor.SnapshotPosition(s.readers[0]); err != nil {
			return mysql.Explain(err)
		}
		if known || s.position == before {
			return nil
		}
		if err := s.readers[0].Rollback(); err != nil {
			return mysql.Explain(err)
		}
		if err := pause(ctx, snapshotPause); err != nil {
			return err
		}
	}
	return &mysql.Error{Sentence: "the source never rests between two transactions: grant the user RELOAD, so that a snapshot needs no quiet moment"}
}

// addReader opens a session that returns values in the bytes that the columns store.
func (s *snapshot) addReader(ctx context.Context, opt Options) error {
	r, err := mysql.Connect(ctx, opt.Source)
	if err != nil {
		return err
	}
	s.readers = append(s.readers, r)
	if opt.JobID != "" {
		if err := progress.Enlist(r, opt.JobID); err != nil {
			return err
		}
	}
	for _, statement := range []string{
		"SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
		// A reader may wait long for its writers.
		"SET SESSION character_set_results = NULL, net_write_timeout = 28800",
	} {
		if _, err := r.Execute(statement); err != nil {
			return fmt.Errorf("prepare a source session: %w", mysql.Explain(err))
		}
	}
	return nil
}

func (s *snapshot) begin() error {
	for _, r := range s.readers {
		if _, err := r.Execute("START TRANSACTION WITH CONSISTENT SNAPSHOT"); err != nil {
			return err
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// schemaExists returns a test for the source's schemas.
func schemaExists(c *mysql.Conn) (func(string) bool, error) {
	r, err := c.Execute("SELECT schema_name FROM information_schema.schemata")
	if err != nil {
		return nil, fmt.Errorf("list the source's schemas: %w", mysql.Explain(err))
	}
	known := map[string]bool{}
	for i := range r.RowNumber() {
		name, err := r.GetString(i, 0)
		if err != nil {
			return nil, err
		}
		known[name] = true
	}
	return func(name string) bool { return known[name] }, nil
}

// CheckChosen fails if the selection names schemas or tables that are not among those of the source, whose address is for the
// message.
func CheckChosen(c *mysql.Conn, address string, selection *mapping.Mapping, tables []*mysql.Table) error {
	exists, err := schemaExists(c)
	if err != nil {
		return err
	}
	known := make(map[string]bool, len(tables))
	for _, t := range tables {
		known[t.String()] = true
	}
	has := func(schema, table string) bool { return known[schema+"."+table] }
	missing := selection.Missing(exists, has)
	if len(missing) == 0 {
		return nil
	}
	others, err := objects.List(c, selection) // a view may be named like a table
	if err != nil {
		return err
	}
	for _, o := range objects.Only(others, []objects.Kind{objects.Views, objects.Sequences}) {
		known[o.String()] = true
	}
	if missing = selection.Missing(exists, has); len(missing) == 0 {
		return nil
	}
	return &mysql.Error{
		Sentence:  fmt.Sprintf("the source %s does not have %s, which replicate_do_db names (or the user may not see it)", address, strings.Join(missing, ", ")),
		Permanent: true,
	}
}

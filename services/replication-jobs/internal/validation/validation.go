// Package validation says before a job starts what would stop it: it looks at both servers and changes nothing.
package validation

import (
	"context"
	"errors"
	"fmt"
	"time"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/engine"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mapping"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/objects"
)

// timeLimit bounds a whole validation: somebody waits for it.
const timeLimit = 20 * time.Second

var errSlow = fmt.Errorf("no answer within %v", timeLimit)

// Names of the families of servers.
const mariaDB = gomysql.MariaDBFlavor

// Job is what is to be validated of a job.
type Job struct {
	Source, Target mysql.Config
	// Alternates are further servers of the source's topology.
	Alternates []mysql.Config
	SourceNode string // through which the job is to reach its source, "" if that is the node of its target
	Mapping    *mapping.Mapping
	Copies     bool // whether the job has a full copy
	Follows    bool // whether it follows the binary log
	NeedsGTID  bool // whether it starts behind a GTID set
	// DropTables and SkipCreate are drop_table_if_exists and skip_create_db_table.
	DropTables, SkipCreate bool
	// RelayMiB is what a relay log may take, 0 for a job without one.
	RelayMiB int32
	// SourceDependency is use_my_sql_dependency.
	SourceDependency bool
	// Objects are the kinds that are replicated besides tables.
	Objects []objects.Kind
}

// Problems are the sentences that one check has found; none is a pass.
type Problems []string

func (p *Problems) add(format string, args ...any) { *p = append(*p, fmt.Sprintf(format, args...)) }

// Report is what was found. A nil check was not made, because one before it failed or it means nothing for the job.
type Report struct {
	Source, Target Side
	Errors         Problems // of both sides together
	Warnings       Problems // what does not stop the job
}

// Side is what was found on one server.
type Side struct {
	Connection, Privileges, GTIDMode, ServerID, Binlog *Problems
}

// Run looks at both servers of a job.
func Run(ctx context.Context, job Job) (*Report, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, timeLimit, errSlow)
	defer cancel()
	report := &Report{}
	source, err := connect(ctx, job.Source, &report.Source)
	if err != nil {
		return nil, err
	}
	defer source.close()
	if source == nil && job.SourceNode != "" {
		report.Warnings.add("validation looks at the source from the manager; the job reaches it from the node %s, which may see it all the same", job.SourceNode)
	}
	target, err := connect(ctx, job.Target, &report.Target)
	if err != nil {
		return nil, err
	}
	defer target.close()
	v := validator{job: job, report: report, source: source, target: target}
	if err := v.run(); err != nil {
		return report, err
	}
	if job.SourceDependency {
		report.Warnings.add("%s", engine.NoDependency)
	}
	return report, v.addresses(ctx)
}

// server is a session with one side; nil when it cannot be reached.
type server struct {
	*mysql.Conn
	address string
	grants  grants
}

func (s *server) close() {
	if s != nil {
		_ = s.Close() // nothing was written
	}
}

// connect opens a session and reads its grants. That it cannot is a finding.
func connect(ctx context.Context, cfg mysql.Config, side *Side) (*server, error) {
	side.Connection = &Problems{}
	conn, err := mysql.Connect(ctx, cfg)
	if err != nil {
		return nil, found(side.Connection, cfg, err)
	}
	s := &server{Conn: conn, address: cfg.Addr()}
	side.Privileges = &Problems{}
	if s.grants, err = loadGrants(conn); err != nil {
		s.close()
		return nil, found(side.Connection, cfg, err)
	}
	return s, nil
}

// found makes a finding of what a server answered; the end of the caller's patience is none.
func found(p *Problems, cfg mysql.Config, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	p.add("%s: %v", cfg.Addr(), mysql.Explain(err))
	return nil
}

// validator makes the checks that the sides' sessions allow.
type validator struct {
	job            Job
	report         *Report
	source, target *server
	tables         []*mysql.Table // chosen at the source
}

func (v *validator) run() error {
	var steps []func() error
	if v.source != nil {
		steps = append(steps, v.chosen, v.objects, v.sourcePrivileges, v.settings, v.retention)
	}
	if v.target != nil {
		steps = append(steps, v.targetPrivileges)
	}
	if v.source != nil && v.target != nil {
		steps = append(steps, v.mayDefine, v.conflicts, v.shared, v.triggers, v.charsets, v.keyless, v.types)
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// text returns the only value of a one-row answer, "" for NULL and for no row.
func text(c *mysql.Conn, statement string) (string, error) {
	r, err := c.Execute(statement)
	if err != nil || r.RowNumber() == 0 {
		return "", err
	}
	return r.GetString(0, 0)
}

// pairs reads an answer of two columns.
func pairs(c *mysql.Conn, statement string) (map[string]string, error) {
	r, err := c.Execute(statement)
	if err != nil {
		return nil, err
	}
	out := make(map[string]string, r.RowNumber())
	for i := range r.RowNumber() {
		name, err := r.GetString(i, 0)
		if err != nil {
			return nil, err
		}
		if out[name], err = r.GetString(i, 1); err != nil {
			return nil, err
		}
	}
	return out, nil
}

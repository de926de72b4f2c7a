// Package demo is the main job of opsdeck on real data: it migrates a shop that stays open, and proves that nothing was lost.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/opsdeck/opsdeck/deploy/standalone/internal/operator"
	"github.com/opsdeck/opsdeck/deploy/standalone/internal/stage"
	"github.com/opsdeck/opsdeck/services/replication-jobs/mariadb"
)

const (
	openTime = 5 * time.Second // how long the shop stays open once the target has caught up
	patience = 5 * time.Minute
)

// ErrDifferent says that a table of the target is not what it is in the source.
var ErrDifferent = errors.New("the target differs from the source")

// Run plays the demo in a temporary directory and leaves nothing behind.
func Run(ctx context.Context, out io.Writer, address string, serve stage.Server) error {
	return stage.Run(ctx, "", address, serve, func(ctx context.Context, on *stage.Stage) (err error) {
		s := &story{Stage: on, view: newView(out)}
		defer func() { err = errors.Join(err, s.close()) }()
		return s.play(ctx)
	})
}

// story is what the demo holds while it plays.
type story struct {
	*stage.Stage
	view           *view
	source, target *mariadb.Server
}

func (s *story) close() error {
	var errs []error
	for _, server := range []*mariadb.Server{s.source, s.target} {
		if server != nil {
			errs = append(errs, server.Kill()) // its files are thrown away
		}
	}
	return errors.Join(errs...)
}

func (s *story) play(ctx context.Context) error {
	if err := s.startServers(ctx); err != nil {
		return err
	}
	s.view.say("2. loading the shop: 8 tables, 556,000 rows")
	if err := load(ctx, s.source); err != nil {
		return err
	}
	s.view.say("3. the shop opens: a writer changes it about 250 times a second from now on")
	write, closeShop := context.WithCancel(ctx)
	defer closeShop()
	w := &writer{}
	written := make(chan error, 1)
	go func() { written <- w.run(write, s.source, 1) }()

	s.view.say("4. logging in at http://%s/v2/login and creating the job", s.Address)
	opsdeck, err := s.SignIn(ctx)
	if err != nil {
		return err
	}
	job, err := opsdeck.CreateJob(ctx, operator.Job{
		Name: "demo", Steps: "all", Source: stage.Instance(s.source), Target: stage.Instance(s.target), Schemas: []string{"shop"}, Writers: 2,
	})
	if err != nil {
		return err
	}
	if err := s.follow(ctx, opsdeck, job, w); err != nil {
		return err
	}
	closeShop()
	if err := <-written; err != nil {
		return err
	}
	s.view.say("6. the shop has closed after %d transactions; comparing checksums", w.committed.Load())
	if err := s.awaitPosition(ctx, opsdeck, job, w); err != nil {
		return err
	}
	return s.compare(ctx)
}

func (s *story) startServers(ctx context.Context) error {
	s.view.say("1. starting opsdeck and two private MariaDB servers")
	group, ctx := errgroup.WithContext(ctx)
	for id, server := range map[uint32]**mariadb.Server{1: &s.source, 2: &s.target} {
		group.Go(func() (err error) {
			*server, err = mariadb.Start(ctx, mariadb.Options{
				Dir: filepath.Join(s.Dir, fmt.Sprintf("db%d", id)), ServerID: id,
				Args: []string{"--innodb-buffer-pool-size=512M", "--innodb-log-file-size=256M"},
			})
			return err
		})
	}
	return group.Wait()
}

// follow draws the job until it has caught up and the shop has been open for a while longer.
func (s *story) follow(ctx context.Context, opsdeck *operator.Client, job string, w *writer) error {
	s.view.say("5. %s copies, then follows", job)
	var caughtUp time.Time
	return operator.Await(ctx, job+" to catch up", patience, func(ctx context.Context) (bool, error) {
		d, f, err := opsdeck.Look(ctx, job)
		if err != nil {
			return false, err
		}
		s.view.progress(d, f, w.committed.Load())
		steps := d.Profile.Base.Steps
		if len(steps) != 2 || steps[0].Status != "finished" || d.Profile.Base.Delay > 1 || f.Status.Transactions == 0 {
			return false, nil
		}
		if caughtUp.IsZero() {
			caughtUp = time.Now()
		}
		return time.Since(caughtUp) > openTime, nil
	})
}

// awaitPosition waits until the target has applied the source's last transaction.
func (s *story) awaitPosition(ctx context.Context, opsdeck *operator.Client, job string, w *writer) error {
	last, err := s.source.Value(ctx, "SELECT @@gtid_binlog_pos")
	if err != nil {
		return err
	}
	return operator.Await(ctx, job+" to apply "+last, patience, func(ctx context.Context) (bool, error) {
		d, f, err := opsdeck.Look(ctx, job)
		if err != nil {
			return false, err
		}
		s.view.progress(d, f, w.committed.Load())
		return f.Position() == last, nil
	})
}

// compare prints the verdict on every table.
func (s *story) compare(ctx context.Context) error {
	same := true
	for _, table := range tables {
		query, err := checksum(ctx, s.source, table)
		if err != nil {
			return err
		}
		ours, err := s.source.Value(ctx, query)
		if err != nil {
			return err
		}
		theirs, err := s.target.Value(ctx, query)
		if err != nil {
			return err
		}
		verdict := "equal"
		if ours != theirs || ours == "" {
			verdict, same = "DIFFERENT", false
		}
		s.view.say("   %-20s source %-26s target %-26s %s", table, ours, theirs, verdict)
	}
	if !same {
		return ErrDifferent
	}
	s.view.say("all %d tables are equal. `make run` starts opsdeck to stay; its API is then at http://%s/swagger/index.html", len(tables), s.Address)
	return nil
}

// checksum returns the query that sums up a table: its rows, and a sum over the bytes of every value of every row. CHECKSUM TABLE
// would do, did MariaDB not count generated columns now and then.
func checksum(ctx context.Context, source *mariadb.Server, table string) (string, error) {
	return source.Value(ctx, `SELECT CONCAT('SELECT CONCAT(COUNT(*), " rows ", HEX(SUM(CRC32(CONCAT_WS(",",',
		GROUP_CONCAT('IFNULL(HEX(CAST(', column_name, ' AS BINARY)), "NULL")' ORDER BY ordinal_position), '))))) FROM shop.`+table+`')
		FROM information_schema.columns WHERE table_schema = 'shop' AND table_name = '`+table+`'`)
}

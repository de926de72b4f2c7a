package engine_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/engine"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
)

// TestSocket reaches both servers by their sockets alone, for the copy and for the binary log.
func TestSocket(t *testing.T) {
	t.Parallel()
	p := &pair{source: mysqltest.Start(t, 1), target: mysqltest.Start(t, 2)}
	p.source.Exec(t, "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY)", "INSERT INTO app.t VALUES (1)")
	for _, s := range []*mysqltest.Server{p.source, p.target} { // its administrator comes by TCP only
		s.Exec(t, fmt.Sprintf("CREATE USER '%s'@'localhost' IDENTIFIED BY '%s'", s.User(), s.Password()), fmt.Sprintf("GRANT ALL PRIVILEGES ON *.* TO '%s'@'localhost'", s.User()))
	}
	job := p.job("sockets", 1, "app")
	job.Source.Socket, job.Target.Socket = value(t, p.source, "SELECT @@GLOBAL.socket"), value(t, p.target, "SELECT @@GLOBAL.socket")
	job.Source.Port, job.Target.Port = 1, 1 // nobody listens there
	run := start(t, job)
	p.awaitEqual(t, run, "app")
	run.awaitEvent(t, "job_stage_incr")
	p.source.Exec(t, "INSERT INTO app.t VALUES (2)")
	p.awaitEqual(t, run, "app")
	run.stop(t)
	job.Epoch, job.Source.Socket = 2, job.Source.Socket+"-not"
	require.ErrorContains(t, engine.Run(t.Context(), job, &listener{}, zap.NewNop()), "source: nothing listens on "+job.Source.Socket)
}

package engine_test

import (
	"testing"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
)

// TestEncryptedJob copies and follows as users that servers let in through TLS only.
func TestEncryptedJob(t *testing.T) {
	t.Parallel()
	ours := mysqltest.NewAuthority(t)
	p := &pair{source: mysqltest.Start(t, 1, ours.Serve(t, "localhost")...), target: mysqltest.Start(t, 2, ours.Serve(t, "localhost")...)}
	for _, server := range []*mysqltest.Server{p.source, p.target} {
		server.Exec(t, "CREATE USER secured IDENTIFIED BY 'secured-1' REQUIRE SSL", "GRANT ALL ON *.* TO secured")
	}
	p.source.Exec(t, "CREATE DATABASE shop", "CREATE TABLE shop.t (id INT PRIMARY KEY)", "INSERT INTO shop.t VALUES (1), (2)")
	job := p.job("encrypted", 1, "shop")
	for _, end := range []*mysql.Config{&job.Source, &job.Target} {
		end.Host, end.User, end.Password = "localhost", "secured", "secured-1"
	}
	job.Source.SSL = mysql.SSL{Mode: mysql.SSLVerifyIdentity, CA: ours.PEM()}
	run := start(t, job)
	run.awaitEvent(t, "job_stage_incr")
	p.source.Exec(t, "INSERT INTO shop.t VALUES (3)", "DELETE FROM shop.t WHERE id = 1")
	p.awaitEqual(t, run, "shop")
	run.stop(t)
}

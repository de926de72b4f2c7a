package worker

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/engine"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// local are the sockets of a job on this node. One of a source that is reached through another node is that node's.
func local(job engine.Job) []string {
	if job.Source.Dial != nil {
		return []string{job.Target.Socket}
	}
	return []string{job.Source.Socket, job.Target.Socket}
}

// sockets are the directories in which and below which jobs may use unix sockets.
type sockets []string

// check refuses sockets that lie elsewhere, also behind a link. An empty path is none.
func (s sockets) check(paths ...string) error {
	for _, path := range paths {
		if path != "" && !s.allow(path) {
			return &mysql.Error{Permanent: true, Sentence: fmt.Sprintf(
				"this worker node lets no job use the socket %s: name its directory in OPSDECK_WORKER_SOCKET_DIRS, or take mysql_socket out of the job", path)}
		}
	}
	return nil
}

func (s sockets) allow(path string) bool {
	if !filepath.IsAbs(path) {
		return false
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		real = filepath.Clean(path) // it is not there: that shows when somebody connects
	}
	for _, dir := range s {
		if !filepath.IsAbs(dir) {
			continue
		}
		if resolved, err := filepath.EvalSymlinks(dir); err == nil && strings.HasPrefix(real, strings.TrimSuffix(resolved, "/")+"/") {
			return true
		}
	}
	return false
}

// Command worker runs a worker node, which does the replication that the manager gives it.
package main

import (
	"github.com/opsdeck/opsdeck/pkg/app"

	"github.com/opsdeck/opsdeck/services/replication-jobs/worker"
)

func main() {
	app.Main("worker", "a worker node: runs the replication jobs that the manager gives it",
		app.Serve("replication-worker", worker.Run), app.Config[worker.Config]())
}

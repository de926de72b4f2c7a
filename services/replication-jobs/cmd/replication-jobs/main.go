// Command replication-jobs runs the manager of replication jobs alone in its process.
package main

import (
	"github.com/opsdeck/opsdeck/pkg/app"

	replication "github.com/opsdeck/opsdeck/services/replication-jobs"
)

func main() {
	app.Main("replication-jobs", "the manager of replication jobs: API, placement, state",
		app.Serve("replication", replication.Run), app.Migrate(replication.Migrate), app.Config[replication.Config]())
}

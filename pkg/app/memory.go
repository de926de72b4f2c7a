package app

import (
	"os"
	"runtime/debug"
)

// growth is by how many percent of what is in use the heap grows before it is collected. Go's own 100 collects up to three times during a request of a
// megabyte, since little is in use between requests.
const growth = 200

// spare sets when memory is collected, unless the environment (GOGC) does. A limit (GOMEMLIMIT) holds as ever: near it, memory is collected sooner.
func spare() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(growth)
	}
}

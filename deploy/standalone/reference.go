package standalone

import (
	"fmt"
	"io"

	"github.com/opsdeck/opsdeck/deploy/standalone/internal/command"
	"github.com/opsdeck/opsdeck/gateway"
	"github.com/opsdeck/opsdeck/pkg/app"
	"github.com/opsdeck/opsdeck/services/auth"
	"github.com/opsdeck/opsdeck/services/dns"
	"github.com/opsdeck/opsdeck/services/dns/bindagent"
	replication "github.com/opsdeck/opsdeck/services/replication-jobs"
	"github.com/opsdeck/opsdeck/services/replication-jobs/worker"
)

// WriteReference writes docs/configuration.md: every setting of every process, from the tags of the configurations.
func WriteReference(w io.Writer) error {
	const head = `# Configuration

Every setting is an environment variable. Secrets are files: the variable holds the path. A process refuses to start with the name
of the setting and what it wants when one is wrong. This page is generated from the code (` + "`opsdeck config`" + `); standalone sets by itself
what joins its parts to each other (addresses, database URLs, NATS, keys).
`
	if _, err := io.WriteString(w, head); err != nil {
		return err
	}
	for _, section := range []struct {
		title string
		cfg   any
	}{
		{"Every process", app.ProcessConfig{}},
		{"opsdeck standalone", Config{}},
		{"opsdeck login, opsdeck job", command.Config{}},
		{"gateway", gateway.Config{}},
		{"auth", auth.Config{}},
		{"dns", dns.Config{}},
		{"replication-jobs (manager)", replication.Config{}},
		{"replication worker node", worker.Config{}},
		{"opsdeck-bind-agent (beside BIND)", bindagent.Config{}},
	} {
		if _, err := fmt.Fprintf(w, "\n## %s\n\n", section.title); err != nil {
			return err
		}
		if err := app.WriteReference(w, app.Settings(section.cfg)); err != nil {
			return err
		}
	}
	return nil
}

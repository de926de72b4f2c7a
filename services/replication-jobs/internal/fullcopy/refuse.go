package fullcopy

import (
	"fmt"
	"strings"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

// refuseShared keeps two jobs from writing the same table of the target.
func (p *plan) refuseShared() error {
	others, err := progress.Others(p.target.conn, p.copier.opt.JobID)
	if err != nil {
		return err
	}
	for _, t := range p.tasks {
		if job, ok := others[t.target]; ok && t.fresh {
			return Shared(job, t.target, p.copier.opt.Target.Addr())
		}
	}
	return nil
}

// Shared is the error for a table of the target that another job replicates to.
func Shared(job string, table ddl.Name, target string) error {
	return &mysql.Error{Permanent: true, Sentence: fmt.Sprintf("job %s replicates to %s.%s of the target %s already: delete it first, or leave the table out of this job",
		job, table.Schema, table.Table, target)}
}

// refuseFilled keeps the copy from mixing its rows with others: tables that are new to it must be empty on the target, if they exist. These are used as they
// are.
func (p *plan) refuseFilled() error {
	var names []string
	for _, t := range p.tasks {
		if !t.fresh {
			continue
		}
		exists, filled, err := p.target.look(t)
		if err != nil {
			return err
		}
		t.made = t.made && !exists
		if filled {
			names = append(names, t.there())
		}
	}
	if len(names) == 0 {
		return nil
	}
	return &mysql.Error{
		Sentence: fmt.Sprintf("the target %s has rows in %s already: empty them, or set drop_table_if_exists to replace them",
			p.copier.opt.Target.Addr(), strings.Join(names, ", ")),
		Permanent: true,
	}
}

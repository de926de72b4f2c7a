package fullcopy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/objects"
)

// loadObjects reads what the source has besides tables, of the kinds that are copied.
func (s *snapshot) loadObjects(c *mysql.Conn, opt Options) error {
	if len(opt.Objects) == 0 {
		return nil
	}
	all, err := objects.List(c, opt.Mapping)
	if err != nil {
		return err
	}
	all = objects.Only(all, opt.Objects)
	s.sequences = objects.Only(all, []objects.Kind{objects.Sequences})
	s.objects, err = objects.Load(c, objects.Except(all, []objects.Kind{objects.Sequences}), func(o objects.Object) {
		opt.Event("warning", fmt.Sprintf("the view %s refers to what the source does not have, and is not copied", o))
	})
	return err
}

// all chooses everything.
type all struct{}

func (all) Schema(string) bool        { return true }
func (all) Table(string, string) bool { return true }

// refuseObjects refuses objects that the target has already, and those that cannot be created there under their new names.
func (p *plan) refuseObjects() error {
	wanted := map[objects.Object]bool{}
	names := p.copier.opt.Mapping
	for _, o := range p.snap.sequences {
		there, err := names.Target(ddl.Name{Schema: o.Schema, Table: o.Name})
		if err != nil {
			return err
		}
		wanted[objects.Object{Kind: o.Kind, Type: o.Type, Schema: there.Schema, Name: there.Table}] = true
	}
	for _, d := range p.snap.objects {
		s, err := objects.Statement(d, names)
		if err != nil {
			return &mysql.Error{Permanent: true, Err: err, Sentence: fmt.Sprintf("the %s %s.%s cannot be copied", strings.ToLower(d.Type), d.Schema, d.Name)}
		}
		wanted[objects.Object{Kind: objects.Kind(d.Kind), Type: d.Type, Schema: s.Objects[0].Schema, Name: s.Objects[0].Table}] = true
	}
	if len(wanted) == 0 || p.copier.opt.DropTableIfExists {
		return nil
	}
	there, err := objects.List(p.target.conn, all{})
	if err != nil {
		return err
	}
	var taken []objects.Object
	for _, o := range there {
		if wanted[o] {
			taken = append(taken, o)
		}
	}
	if len(taken) == 0 {
		return nil
	}
	return &mysql.Error{Permanent: true, Sentence: fmt.Sprintf("the target %s has %s already: drop them, or set drop_table_if_exists to replace them",
		p.copier.opt.Target.Addr(), objects.Describe(taken))}
}

// createSequences makes the sequences, on which defaults of tables may depend.
func (p *plan) createSequences() error {
	for _, o := range p.snap.sequences {
		if err := objects.CopySequence(p.snap.readers[0], p.target.conn, o, p.copier.opt.Mapping); err != nil {
			return err
		}
	}
	if len(p.snap.sequences) > 0 {
		p.copier.opt.Event("copy", "copied "+objects.Describe(p.snap.sequences))
	}
	return nil
}

// schemas are those of what is copied, each once.
func (p *plan) schemas() []string {
	var out []string
	for _, t := range p.tasks {
		out = append(out, t.table.Schema)
	}
	for _, o := range p.snap.sequences {
		out = append(out, o.Schema)
	}
	for _, o := range p.snap.objects {
		out = append(out, o.Schema)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

package engine

import (
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/fullcopy"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mapping"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

// chooseStart returns the position that a job without a copy starts at, the one it names or else the source's current one, and the tables
// that it has there: all by their names at the source, and those that it maps.
func (r *run) chooseStart() (mysql.Position, []ddl.Name, mapping.Change, error) {
	var start mysql.Position
	var err error
	if r.job.StartGTID == "" {
		if start, err = r.source.Flavor.CurrentPosition(r.source); err != nil {
			return start, nil, mapping.Change{}, err
		}
	} else {
		if _, err := r.source.Flavor.ParseGTIDSet(r.job.StartGTID); err != nil {
			return start, nil, mapping.Change{}, &mysql.Error{Sentence: "gtid: " + err.Error(), Permanent: true}
		}
		start.GTIDSet = r.job.StartGTID
	}
	tables, err := mysql.LoadTables(r.source, r.mapping.Table)
	if err != nil {
		return start, nil, mapping.Change{}, err
	}
	if err := fullcopy.CheckChosen(r.source, r.job.Source.Addr(), r.mapping, tables); err != nil {
		return start, nil, mapping.Change{}, err
	}
	mapped, err := r.mapping.Tables(tables)
	if err != nil {
		return start, nil, mapping.Change{}, err
	}
	own := make([]ddl.Name, len(tables))
	for i, t := range tables {
		own[i] = ddl.Name{Schema: t.Schema, Table: t.Name}
	}
	return start, own, mapping.Change{Come: mapped}, r.checkFilters(tables, mapped)
}

// refuseShared keeps a job without a copy from writing to what another one writes to.
func (r *run) refuseShared(own []ddl.Name) error {
	others, err := progress.Writers(r.target, r.job.ID)
	if err != nil {
		return err
	}
	for _, name := range own {
		there, err := r.mapping.Target(name)
		if err != nil {
			return err
		}
		if job, taken := others[there]; taken {
			return fullcopy.Shared(job, there, r.job.Target.Addr())
		}
	}
	return nil
}

// checkFilters compares the columns that filters use with those of the target.
func (r *run) checkFilters(tables []*mysql.Table, mapped []mapping.Table) error {
	for i, m := range mapped {
		rows, err := r.mapping.Rows(m.Source, tables[i].Columns)
		if err != nil {
			return err
		}
		if rows == nil {
			continue
		}
		if err := rows.CheckKey(tables[i]); err != nil {
			return err
		}
		there, err := mysql.LoadTable(r.target, m.Target.Schema, m.Target.Table)
		if err != nil {
			return err
		}
		if err := rows.CheckTarget(there.Columns); err != nil {
			return err
		}
	}
	return nil
}

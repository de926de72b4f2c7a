package engine

import (
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/fullcopy"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mapping"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// chooseStart returns the position that a job without a copy starts at, the one it names or else the source's current one, and the tables
// that it maps there.
func (r *run) chooseStart() (mysql.Position, mapping.Change, error) {
	var start mysql.Position
	var err error
	if r.job.StartGTID == "" {
		if start, err = r.source.Flavor.CurrentPosition(r.source); err != nil {
			return start, mapping.Change{}, err
		}
	} else {
		if _, err := r.source.Flavor.ParseGTIDSet(r.job.StartGTID); err != nil {
			return start, mapping.Change{}, &mysql.Error{Sentence: "gtid: " + err.Error(), Permanent: true}
		}
		start.GTIDSet = r.job.StartGTID
	}
	tables, err := mysql.LoadTables(r.source, r.mapping.Table)
	if err != nil {
		return start, mapping.Change{}, err
	}
	if err := fullcopy.CheckChosen(r.source, r.job.Source.Addr(), r.mapping, tables); err != nil {
		return start, mapping.Change{}, err
	}
	mapped, err := r.mapping.Tables(tables)
	if err != nil {
		return start, mapping.Change{}, err
	}
	return start, mapping.Change{Come: mapped}, r.checkFilters(tables, mapped)
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

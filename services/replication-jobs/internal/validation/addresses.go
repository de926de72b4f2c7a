package validation

import (
	"context"
	"fmt"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// addresses warns of further servers of the source to which the job could not turn if the source were lost now.
func (v *validator) addresses(ctx context.Context) error {
	for _, address := range v.job.Alternates {
		var side Side
		s, err := connect(ctx, address, &side)
		if err != nil {
			return err
		}
		if s != nil {
			err = lookAt(s, &side)
			s.close()
		}
		if err != nil {
			return fmt.Errorf("%s, one of mysql_addresses: %w", address.Addr(), mysql.Explain(err))
		}
		for _, problems := range []*Problems{side.Connection, side.Privileges, side.GTIDMode, side.ServerID, side.Binlog} {
			if problems != nil && len(*problems) > 0 {
				v.report.Warnings.add("%s, one of mysql_addresses, cannot take the place of the source: %s", address.Addr(), problems.text())
			}
		}
	}
	return nil
}

// lookAt looks at what a replica needs to be followed like its source.
func lookAt(s *server, side *Side) error {
	side.GTIDMode, side.ServerID, side.Binlog = &Problems{}, &Problems{}, &Problems{}
	have, err := logSettings(s.Conn)
	if err != nil {
		return err
	}
	checkSettings(have, side)
	if have["gtid_mode"] == "OFF" {
		side.GTIDMode.add("the server has gtid_mode=OFF: the job finds its place there by GTIDs")
	}
	for _, name := range []string{"log_slave_updates", "log_replica_updates"} {
		if have[name] == "OFF" {
			side.Binlog.add("the server has %s=OFF, so that its log lacks what it replicates", name)
		}
	}
	if !s.grants.global("REPLICATION SLAVE", "REPLICATION REPLICA") {
		side.Privileges.add("the account lacks REPLICATION SLAVE on *.*, which reading the binary log needs")
	}
	if !s.grants.global("REPLICATION CLIENT", "BINLOG MONITOR", "SUPER") {
		side.Privileges.add("the account lacks REPLICATION CLIENT (on MariaDB BINLOG MONITOR) on *.*, which the position of the binary log needs")
	}
	return nil
}

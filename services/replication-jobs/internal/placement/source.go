package placement

import (
	"context"
	"crypto/rand"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/job"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/tunnel"
)

// maxEnds bounds the source's ends with their addresses in one answer; the others come with the next ones.
const maxEnds = 1000

// farEnds are the source's ends of jobs that are about to be placed, on other nodes than the target's, turned on their side for unnest.
type farEnds struct {
	ids, nodes []string
	keys       [][]byte // sealed
}

// far chooses a node for the source's end of each job that wants it elsewhere than on the target's node: the one that it names. While that
// is silent, and any may do, another one of its data center, the target's last. A job that finds none keeps both ends together.
func (s *Service) far(ctx context.Context, tx pgx.Tx, target string, ids []string) (farEnds, error) {
	rows, _ := tx.Query(ctx, `
		SELECT j.id, j.incarnation::text, chosen.id::text
		FROM replication.jobs AS j
		JOIN replication.nodes AS wanted ON wanted.id::text = j.source_node
		CROSS JOIN LATERAL (
			SELECT n.id FROM replication.nodes AS n
			WHERE CASE WHEN j.pinned_node IS NOT NULL THEN n.id = wanted.id
				ELSE n.seen >= now() - $3::interval AND (n.id = wanted.id OR n.datacenter = wanted.datacenter) END
			ORDER BY n.id = wanted.id DESC, n.id = $1, n.seen DESC LIMIT 1
		) AS chosen
		WHERE j.id = ANY($2) AND chosen.id <> $1
		ORDER BY j.id`, target, ids, s.cfg.Lease)
	type end struct{ ID, Incarnation, Node string }
	ends, err := pgx.CollectRows(rows, pgx.RowToStructByPos[end])
	if err != nil {
		return farEnds{}, pg.Fault(err, "PLACEMENT", "choose nodes for sources")
	}
	var far farEnds
	for _, e := range ends {
		key := make([]byte, tunnel.KeySize)
		_, _ = rand.Read(key) // never fails, says its documentation
		sealed, err := s.sealer.Seal(key, keyPlace(e.Incarnation))
		if err != nil {
			return farEnds{}, err
		}
		far.ids, far.nodes, far.keys = append(far.ids, e.ID), append(far.nodes, e.Node), append(far.keys, sealed)
	}
	return far, nil
}

// keyPlace is the context that the key of a placement is sealed for.
func keyPlace(incarnation string) string { return "replication.tunnel/" + incarnation }

// dropKeys forgets the keys of earlier placements of jobs.
func dropKeys(ctx context.Context, tx pgx.Tx, ids []string) error {
	_, err := tx.Exec(ctx, `
		UPDATE replication.allocations AS a SET tunnel_key = NULL
		FROM replication.jobs AS j
		WHERE j.id = ANY($1) AND a.job_id = j.id AND a.epoch <> j.epoch AND a.tunnel_key IS NOT NULL`, ids)
	return pg.Fault(err, "PLACEMENT", "forget keys of earlier placements")
}

// sourceEnd is the source's end of a run on another node as it is stored.
type sourceEnd struct {
	ID, Type, Incarnation string
	Epoch                 int64
	Key, Config           []byte
	Known                 bool // the node carries it, and has key and addresses
}

// sourceEnds returns all source's ends of runs on other nodes that a node should carry. One that cannot be read is left out: the node of
// the run is told why.
func (s *Service) sourceEnds(ctx context.Context, tx pgx.Tx, r *replicationv1.ReconcileRequest) ([]*replicationv1.SourceEnd, error) {
	ids, epochs := make([]string, len(r.GetSourceEnds())), make([]int64, len(r.GetSourceEnds()))
	for i, end := range r.GetSourceEnds() {
		ids[i], epochs[i] = end.GetJobId(), end.GetEpoch()
	}
	rows, _ := tx.Query(ctx, `
		SELECT j.id, j.type, j.incarnation::text, j.epoch, a.tunnel_key, CASE WHEN r.id IS NULL THEN j.config END, r.id IS NOT NULL
		FROM replication.allocations AS a
		JOIN replication.jobs AS j ON j.id = a.job_id AND j.epoch = a.epoch
		LEFT JOIN unnest($2::text[], $3::bigint[]) AS r (id, epoch) ON r.id = j.id AND r.epoch = j.epoch
		WHERE a.node = $1 AND a.tunnel_key IS NOT NULL AND j.node IS NOT NULL AND j.status IN ('running', 'retrying')
		ORDER BY j.id`, r.GetNodeId(), ids, epochs)
	stored, err := pgx.CollectRows(rows, pgx.RowToStructByPos[sourceEnd])
	if err != nil {
		return nil, pg.Fault(err, "PLACEMENT", "sources of node %s", r.GetNodeId())
	}
	var all []*replicationv1.SourceEnd
	room := maxEnds
	for _, e := range stored {
		end := &replicationv1.SourceEnd{JobId: e.ID, Epoch: e.Epoch, Incarnation: e.Incarnation}
		if !e.Known {
			if room--; room < 0 {
				continue
			}
			if end.Key, end.Addresses, err = s.openEnd(e); err != nil {
				s.log.Error("the source of a job cannot be reached for its node", zap.String("job", e.ID), zap.Error(err))
				continue
			}
		}
		all = append(all, end)
	}
	return all, nil
}

// openEnd returns the key of a placement and the addresses of the source. Nothing else of the job leaves for the node.
func (s *Service) openEnd(e sourceEnd) (key []byte, addresses []string, err error) {
	var source *replicationv1.MySQLConnection
	if e.Type == job.Subscription {
		config, err := job.ReadSubscription(e.ID, e.Config)
		if err != nil {
			return nil, nil, err
		}
		source = config.GetSrcTask().GetMysqlConnectionConfig()
	} else {
		config, err := job.ReadConfig(e.ID, e.Config)
		if err != nil {
			return nil, nil, err
		}
		source = config.GetSrcTask().GetMysqlConnectionConfig()
	}
	addresses = []string{mysql.LocalConfigOf(source).Addr()}
	for _, alternate := range mysql.AlternatesOf(source) {
		addresses = append(addresses, alternate.Addr())
	}
	key, err = s.sealer.Open(e.Key, keyPlace(e.Incarnation))
	return key, addresses, err
}

-- +goose Up

-- The node that has a relay log of the job on its disk, as it was last told; none if no node has.
ALTER TABLE replication.jobs ADD COLUMN relay_node uuid REFERENCES replication.nodes ON DELETE SET NULL;
CREATE INDEX jobs_relay_node ON replication.jobs (relay_node) WHERE relay_node IS NOT NULL;

-- +goose Up

-- Where the owner wants the source's end of a job that is to be on another node than the target's; pinned to it if pinned_node is set.
ALTER TABLE replication.jobs ADD COLUMN source_node text;

-- A source's end on another node than the target's: the sealed key of what travels between the two, while the placement is the job's
-- present one, and the newest figures of the node that carries it.
ALTER TABLE replication.allocations
    ADD COLUMN tunnel_key bytea,
    ADD COLUMN carried bytea; -- opsdeck.replication.v1.TaskStatus
CREATE INDEX allocations_tunnel ON replication.allocations (node) WHERE tunnel_key IS NOT NULL;

-- +goose Up

-- To forget a node is to ask whether a placement still names it.
CREATE INDEX allocations_node ON replication.allocations (node);

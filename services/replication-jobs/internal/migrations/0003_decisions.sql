-- +goose Up

-- Where a retrying job stands for want of a decision about a statement, as file:offset; otherwise empty.
ALTER TABLE replication.jobs ADD COLUMN stopped_at text NOT NULL DEFAULT '';

-- What was decided about statements that jobs stood at, by whom and when.
CREATE TABLE replication.decisions (
    job_id      text COLLATE "C" NOT NULL REFERENCES replication.jobs ON DELETE CASCADE,
    position    text NOT NULL,
    replacement text NOT NULL, -- empty: the statement is left out
    decided_by  text NOT NULL, -- tenant:username
    create_time timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (job_id, position)
);

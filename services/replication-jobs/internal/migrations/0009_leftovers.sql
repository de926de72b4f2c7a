-- +goose Up

-- What deleted jobs have left at their targets, until it is cleared there. A job that has not begun waits for that where it writes to the same instance.
CREATE TABLE replication.leftovers (
    incarnation uuid PRIMARY KEY,
    job_id      text COLLATE "C" NOT NULL,
    epoch       bigint NOT NULL,
    node        uuid, -- the node that had the job and has not said yet that it has stopped; none when it has
    target_host text NOT NULL,
    target_port integer NOT NULL,
    delete_time timestamptz NOT NULL DEFAULT now()
);

-- +goose Up

-- The last verification of each job.
CREATE SEQUENCE replication.verification_numbers;
CREATE TABLE replication.verifications (
    job_id          text COLLATE "C" PRIMARY KEY REFERENCES replication.jobs ON DELETE CASCADE,
    number          bigint NOT NULL DEFAULT nextval('replication.verification_numbers'),
    ordered_by      text NOT NULL, -- tenant:username
    order_time      timestamptz NOT NULL DEFAULT now(),
    repair          boolean NOT NULL,
    continuous      boolean NOT NULL,
    rows_per_second integer NOT NULL,
    max_lag         integer NOT NULL, -- seconds
    state           text NOT NULL DEFAULT 'pending'
        CHECK (state IN ('pending', 'running', 'paused-for-lag', 'finished', 'failed', 'stopped')),
    end_time        timestamptz, -- none until then
    progress        bytea NOT NULL DEFAULT '' -- the newest opsdeck.replication.v1.VerifyProgress, without differences
);

CREATE TABLE replication.differences (
    job_id     text COLLATE "C" NOT NULL REFERENCES replication.verifications ON DELETE CASCADE,
    pass       bigint NOT NULL,
    number     bigint NOT NULL,
    difference bytea NOT NULL, -- opsdeck.replication.v1.Difference
    PRIMARY KEY (job_id, pass, number)
);

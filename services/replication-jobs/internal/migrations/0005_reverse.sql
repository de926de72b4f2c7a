-- +goose Up

-- A reverse job waits in a status of its own for the job that it takes over from. That one names it as its successor once it is to finish.
ALTER TABLE replication.jobs DROP CONSTRAINT jobs_status_check,
    ADD CONSTRAINT jobs_status_check CHECK (status IN ('pending', 'running', 'retrying', 'paused', 'finished', 'reverse-init')),
    ADD COLUMN successor text COLLATE "C" NOT NULL DEFAULT '';

-- +goose Up

-- One sequence for job revisions and for epochs: an epoch is greater than every epoch given out before, whatever the job.
CREATE SEQUENCE replication.revision;

CREATE TABLE replication.nodes (
    id         uuid PRIMARY KEY,
    name       text NOT NULL,
    address    text NOT NULL,
    datacenter text NOT NULL,
    version    text NOT NULL,
    seen       timestamptz NOT NULL
);

CREATE TABLE replication.jobs (
    id              text COLLATE "C" PRIMARY KEY,
    type            text NOT NULL CHECK (type IN ('migration', 'sync')),
    incarnation     uuid NOT NULL, -- tells a job from an earlier one of the same name
    tenant          text NOT NULL,
    owner           text NOT NULL,
    create_time     timestamptz NOT NULL DEFAULT now(),
    modify_index    bigint NOT NULL,
    -- What the owner wants.
    config          jsonb NOT NULL, -- opsdeck.replication.v1.JobConfig as protobuf JSON, without passwords
    step            text NOT NULL,
    source_host     text NOT NULL,
    target_host     text NOT NULL,
    source_password bytea NOT NULL, -- sealed
    target_password bytea NOT NULL, -- sealed
    pinned_node     text,           -- the only node that may run it
    preferred_node  text,           -- runs it when it is there
    -- Who runs it.
    node            uuid REFERENCES replication.nodes, -- none: pending, finished, or paused before any had it
    epoch           bigint NOT NULL DEFAULT 0,
    reported        boolean NOT NULL DEFAULT false, -- the node has said that it runs this epoch
    stored_sequence bigint NOT NULL DEFAULT 0,      -- the newest stored event of the epoch
    -- How it does.
    status          text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'running', 'retrying', 'paused', 'finished')),
    reason          text NOT NULL DEFAULT '', -- the last error while retrying
    stage           text NOT NULL DEFAULT '',
    copied_percent  double precision NOT NULL DEFAULT 0,
    delay           bigint NOT NULL DEFAULT 0, -- seconds
    backlog         bigint NOT NULL DEFAULT 0  -- transactions read and not applied
);

-- The filters of lists: by id (prefix) or by time, of one tenant or of all, of any status or of one.
CREATE INDEX jobs_list ON replication.jobs (type, id);
CREATE INDEX jobs_list_newest ON replication.jobs (type, create_time, id);
CREATE INDEX jobs_list_status ON replication.jobs (type, status, id);
CREATE INDEX jobs_list_tenant ON replication.jobs (tenant, type, id);
CREATE INDEX jobs_list_tenant_newest ON replication.jobs (tenant, type, create_time, id);
-- The scheduler looks at the jobs of a node, and at those that wait for one.
CREATE INDEX jobs_node ON replication.jobs (node, status);

-- Placements of tasks: an epoch of a job has one for each end.
CREATE TABLE replication.allocations (
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    job_id      text COLLATE "C" NOT NULL REFERENCES replication.jobs ON DELETE CASCADE,
    epoch       bigint NOT NULL,
    target      text NOT NULL CHECK (target IN ('src', 'dst')),
    node        uuid NOT NULL REFERENCES replication.nodes,
    create_time timestamptz NOT NULL DEFAULT now(),
    figures     bytea, -- the newest opsdeck.replication.v1.TaskStatus
    UNIQUE (job_id, epoch, target)
);

CREATE TABLE replication.events (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    allocation  uuid NOT NULL REFERENCES replication.allocations ON DELETE CASCADE,
    type        text NOT NULL,
    setup_error text NOT NULL DEFAULT '',
    message     text NOT NULL,
    time        timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX events_allocation ON replication.events (allocation, id);

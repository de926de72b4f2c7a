-- +goose Up

-- The zone's serial at which its server held this change and all before it; 0: not known.
ALTER TABLE dns.changes ADD COLUMN serial bigint NOT NULL DEFAULT 0;

-- A zone that went missing on its server is made again.
ALTER TABLE dns.changes DROP CONSTRAINT changes_kind_check,
    ADD CONSTRAINT changes_kind_check CHECK (kind IN ('records', 'create', 'rename', 'delete', 'import', 'adopt', 'correct', 'restore'));

-- The audit is written in the order of time, and many rows at once.
DROP INDEX dns.operations_time;
CREATE INDEX operations_time ON dns.operations USING brin (op_time) WITH (autosummarize = on);

-- Whoever writes records holds the lock of their domain. A foreign key would look for it again with each record, which took a third of the time
-- of writing many; records still go with their domain.
ALTER TABLE dns.records DROP CONSTRAINT records_domain_id_fkey;
-- +goose StatementBegin
CREATE FUNCTION dns.delete_records() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM dns.records WHERE domain_id IN (SELECT id FROM gone);
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER domains_records AFTER DELETE ON dns.domains
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION dns.delete_records();

-- +goose Up

-- How often anybody's rights, or the sessions they hang on, have changed. Services remember decisions by this number and hear
-- when it moves.
CREATE TABLE auth.revision (
    id   boolean PRIMARY KEY DEFAULT true CONSTRAINT revision_one_row CHECK (id),
    n    bigint NOT NULL,
    tx   xid8   NOT NULL -- that moved it last: one transaction moves it once
);

INSERT INTO auth.revision (n, tx) VALUES (1, pg_current_xact_id());

-- Runs when a transaction commits, so that the row is the last it locks and revisions come in the order of commits: who reads
-- revision n sees all that the changes up to n did. Every table that decides about rights has a trigger with it.
-- +goose StatementBegin
CREATE FUNCTION auth.move_revision() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE auth.revision SET n = n + 1, tx = pg_current_xact_id() WHERE tx <> pg_current_xact_id();
    RETURN NULL;
END $$;
-- +goose StatementEnd

CREATE CONSTRAINT TRIGGER users_revision
    AFTER DELETE OR UPDATE OF tenant_id, role_id, username, status ON auth.users
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION auth.move_revision();

CREATE CONSTRAINT TRIGGER roles_revision
    AFTER DELETE OR UPDATE ON auth.roles
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION auth.move_revision();

CREATE CONSTRAINT TRIGGER role_objects_revision
    AFTER INSERT OR DELETE OR UPDATE ON auth.role_objects
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION auth.move_revision();

-- A session that begins takes nothing from anybody.
CREATE CONSTRAINT TRIGGER sessions_revision
    AFTER DELETE OR UPDATE OF user_id, expires_at ON auth.sessions
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION auth.move_revision();

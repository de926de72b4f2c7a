-- +goose Up

ALTER TABLE auth.roles
    ADD COLUMN object_type text NOT NULL DEFAULT 'self'
        CONSTRAINT roles_object_type CHECK (object_type IN ('all', 'self', 'designate')),
    ADD COLUMN authority text NOT NULL DEFAULT '[]', -- as received; what counts are the actions
    ADD COLUMN actions text[] NOT NULL DEFAULT '{}'; -- of the menu catalogue; the role admin opens all without a list

UPDATE auth.roles SET object_type = 'all' WHERE name = 'admin';

-- The users that a role with the object type designate may act for.
CREATE TABLE auth.role_objects (
    role_id bigint NOT NULL REFERENCES auth.roles (id) ON DELETE CASCADE,
    user_id bigint NOT NULL REFERENCES auth.users (id) ON DELETE CASCADE,
    PRIMARY KEY (role_id, user_id)
);

CREATE INDEX role_objects_user_id ON auth.role_objects (user_id);

-- Who changed which user or role, how, and from where. No row names another table's: it outlives what it tells of.
CREATE TABLE auth.audit (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL,
    actor      text NOT NULL, -- tenant:username
    tenant     text NOT NULL, -- of the subject
    action     text NOT NULL, -- for instance user.created
    subject    text NOT NULL, -- tenant:name
    before     jsonb,         -- null for what was created
    after      jsonb,         -- null for what was deleted
    request_id text NOT NULL,
    address    text NOT NULL
);

CREATE INDEX audit_tenant ON auth.audit (tenant, id);

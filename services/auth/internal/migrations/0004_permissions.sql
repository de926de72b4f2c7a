-- +goose Up

-- users.role_id stays a user's first role, which dtle shows; user_roles holds his other ones.
ALTER TABLE auth.users
    ALTER COLUMN role_id DROP NOT NULL,
    ADD CONSTRAINT users_tenant UNIQUE (tenant_id, id);

CREATE INDEX users_tenant_status ON auth.users (tenant_id, status, id);

ALTER TABLE auth.roles ADD COLUMN creator text NOT NULL DEFAULT ''; -- user name; empty for roles older than the column

CREATE TABLE auth.user_roles (
    tenant_id bigint NOT NULL,
    user_id   bigint NOT NULL,
    role_id   bigint NOT NULL,
    PRIMARY KEY (user_id, role_id),
    -- Both belong to one tenant.
    CONSTRAINT user_roles_user FOREIGN KEY (tenant_id, user_id) REFERENCES auth.users (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT user_roles_role FOREIGN KEY (tenant_id, role_id) REFERENCES auth.roles (tenant_id, id)
);

CREATE INDEX user_roles_role_id ON auth.user_roles (role_id, user_id);

-- All roles that a user has.
CREATE VIEW auth.held_roles AS
    SELECT id AS user_id, role_id FROM auth.users WHERE role_id IS NOT NULL
    UNION
    SELECT user_id, role_id FROM auth.user_roles;

-- Grants belong to a user or to a role. What is not there is not granted. Names are those of the catalogue.
CREATE TABLE auth.module_grants (
    user_id    bigint REFERENCES auth.users (id) ON DELETE CASCADE,
    role_id    bigint REFERENCES auth.roles (id) ON DELETE CASCADE,
    module     text NOT NULL,
    permission text NOT NULL,
    CONSTRAINT module_grants_to_one CHECK (num_nonnulls(user_id, role_id) = 1),
    CONSTRAINT module_grants_user UNIQUE (user_id, module, permission),
    CONSTRAINT module_grants_role UNIQUE (role_id, module, permission)
);

CREATE TABLE auth.resource_grants (
    user_id     bigint REFERENCES auth.users (id) ON DELETE CASCADE,
    role_id     bigint REFERENCES auth.roles (id) ON DELETE CASCADE,
    kind        text   NOT NULL,
    resource_id bigint NOT NULL,
    permission  text   NOT NULL,
    CONSTRAINT resource_grants_to_one CHECK (num_nonnulls(user_id, role_id) = 1),
    CONSTRAINT resource_grants_user UNIQUE (user_id, kind, resource_id, permission),
    CONSTRAINT resource_grants_role UNIQUE (role_id, kind, resource_id, permission)
);

-- For the grants as a resource shows them, and for lists of what somebody may act on.
CREATE INDEX resource_grants_resource ON auth.resource_grants (kind, resource_id);
CREATE INDEX resource_grants_user_permission ON auth.resource_grants (user_id, kind, permission, resource_id) WHERE user_id IS NOT NULL;
CREATE INDEX resource_grants_role_permission ON auth.resource_grants (role_id, kind, permission, resource_id) WHERE role_id IS NOT NULL;

-- What a tenant's grants call the resources: their owner's word, or, without an owner to ask, the caller's.
CREATE TABLE auth.resource_names (
    tenant_id   bigint NOT NULL REFERENCES auth.tenants (id),
    kind        text   NOT NULL,
    resource_id bigint NOT NULL,
    name        text   NOT NULL,
    PRIMARY KEY (tenant_id, kind, resource_id)
);

-- Levels at nodes of the service tree, 0 for the global one. Level 0 is everybody's and has no row.
CREATE TABLE auth.tree_levels (
    user_id bigint REFERENCES auth.users (id) ON DELETE CASCADE,
    role_id bigint REFERENCES auth.roles (id) ON DELETE CASCADE,
    node_id bigint  NOT NULL CONSTRAINT tree_levels_node CHECK (node_id >= 0),
    level   integer NOT NULL CONSTRAINT tree_levels_level CHECK (level BETWEEN 1 AND 3),
    CONSTRAINT tree_levels_to_one CHECK (num_nonnulls(user_id, role_id) = 1),
    CONSTRAINT tree_levels_user UNIQUE (user_id, node_id),
    CONSTRAINT tree_levels_role UNIQUE (role_id, node_id)
);

-- What users hold, by themselves (via_role_id is null) and by their roles.
CREATE VIEW auth.held_modules AS
    SELECT user_id, NULL::bigint AS via_role_id, module, permission FROM auth.module_grants WHERE user_id IS NOT NULL
    UNION ALL
    SELECT h.user_id, h.role_id, g.module, g.permission FROM auth.held_roles h JOIN auth.module_grants g ON g.role_id = h.role_id;

CREATE VIEW auth.held_resources AS
    SELECT user_id, NULL::bigint AS via_role_id, kind, resource_id, permission FROM auth.resource_grants WHERE user_id IS NOT NULL
    UNION ALL
    SELECT h.user_id, h.role_id, g.kind, g.resource_id, g.permission
      FROM auth.held_roles h JOIN auth.resource_grants g ON g.role_id = h.role_id;

CREATE VIEW auth.held_levels AS
    SELECT user_id, NULL::bigint AS via_role_id, node_id, level FROM auth.tree_levels WHERE user_id IS NOT NULL
    UNION ALL
    SELECT h.user_id, h.role_id, l.node_id, l.level FROM auth.held_roles h JOIN auth.tree_levels l ON l.role_id = h.role_id;

-- One row per permission that a change of grants gave or took: what was before is the opposite. No row names another table's: it
-- outlives what it tells of.
CREATE TABLE auth.grant_changes (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at              timestamptz NOT NULL,
    tenant          text    NOT NULL, -- of the target
    operator_tenant text    NOT NULL,
    operator        text    NOT NULL, -- user name
    target_type     text    NOT NULL CONSTRAINT grant_changes_target CHECK (target_type IN ('user', 'role')),
    target_name     text    NOT NULL,
    module          text,             -- of a module's permission
    resource_kind   text,             -- of a permission on a resource
    resource_id     bigint,
    resource_name   text,
    permission      text    NOT NULL,
    granted         boolean NOT NULL, -- or taken
    request_id      text    NOT NULL,
    address         text    NOT NULL,
    CONSTRAINT grant_changes_of_one CHECK (num_nonnulls(module, resource_kind) = 1),
    CONSTRAINT grant_changes_resource CHECK (num_nonnulls(resource_kind, resource_id, resource_name) IN (0, 3))
);

CREATE INDEX grant_changes_tenant ON auth.grant_changes (tenant, id);
CREATE INDEX grant_changes_at ON auth.grant_changes (at);
CREATE INDEX grant_changes_operator ON auth.grant_changes (operator, id);
CREATE INDEX grant_changes_target ON auth.grant_changes (target_name, id);
CREATE INDEX grant_changes_module ON auth.grant_changes (module, permission, id) WHERE module IS NOT NULL;
CREATE INDEX grant_changes_resource ON auth.grant_changes (resource_kind, resource_id, id) WHERE resource_kind IS NOT NULL;
CREATE INDEX grant_changes_permission ON auth.grant_changes (permission, id);

CREATE CONSTRAINT TRIGGER user_roles_revision
    AFTER INSERT OR DELETE OR UPDATE ON auth.user_roles
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION auth.move_revision();

CREATE CONSTRAINT TRIGGER module_grants_revision
    AFTER INSERT OR DELETE OR UPDATE ON auth.module_grants
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION auth.move_revision();

CREATE CONSTRAINT TRIGGER resource_grants_revision
    AFTER INSERT OR DELETE OR UPDATE ON auth.resource_grants
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION auth.move_revision();

CREATE CONSTRAINT TRIGGER tree_levels_revision
    AFTER INSERT OR DELETE OR UPDATE ON auth.tree_levels
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION auth.move_revision();

-- +goose Up

CREATE TABLE auth.tenants (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text NOT NULL CONSTRAINT tenants_name UNIQUE CONSTRAINT tenants_name_length CHECK (length(name) BETWEEN 1 AND 128),
    created_at timestamptz NOT NULL
);

CREATE TABLE auth.roles (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id  bigint NOT NULL REFERENCES auth.tenants (id),
    name       text NOT NULL CONSTRAINT roles_name_length CHECK (length(name) BETWEEN 1 AND 128),
    created_at timestamptz NOT NULL,
    CONSTRAINT roles_name UNIQUE (tenant_id, name),
    CONSTRAINT roles_tenant UNIQUE (tenant_id, id)
);

CREATE TABLE auth.users (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id       bigint NOT NULL REFERENCES auth.tenants (id),
    role_id         bigint NOT NULL,
    username        text NOT NULL CONSTRAINT users_username_length CHECK (length(username) BETWEEN 1 AND 128),
    email           text NOT NULL DEFAULT '',
    phone           text NOT NULL DEFAULT '',
    remark          text NOT NULL DEFAULT '',
    status          text NOT NULL DEFAULT 'enabled' CONSTRAINT users_status CHECK (status IN ('enabled', 'disabled')),
    password_hash   text NOT NULL,
    password_set_at timestamptz NOT NULL, -- moves with the password, not with the cost of its hash
    created_at      timestamptz NOT NULL,
    -- A user's role belongs to the user's tenant.
    CONSTRAINT users_role FOREIGN KEY (tenant_id, role_id) REFERENCES auth.roles (tenant_id, id)
);

CREATE UNIQUE INDEX users_username ON auth.users (tenant_id, lower(username));
CREATE INDEX users_role_id ON auth.users (role_id);

CREATE TABLE auth.sessions (
    id         text PRIMARY KEY,
    user_id    bigint NOT NULL REFERENCES auth.users (id) ON DELETE CASCADE,
    address    text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);

CREATE INDEX sessions_user_id ON auth.sessions (user_id);
CREATE INDEX sessions_expires_at ON auth.sessions (expires_at);

CREATE TABLE auth.captchas (
    id         text PRIMARY KEY,
    answer     bytea NOT NULL, -- sealed for "auth.captcha/<id>"
    expires_at timestamptz NOT NULL
);

CREATE INDEX captchas_expires_at ON auth.captchas (expires_at);

-- One row per account that was tried with a wrong captcha, user name or password lately. The account need not exist:
-- a table that knew only real ones would tell which are.
CREATE TABLE auth.login_attempts (
    tenant       text NOT NULL,
    username     text NOT NULL, -- in lower case
    failures     timestamptz[] NOT NULL,
    locked_until timestamptz,
    expires_at   timestamptz NOT NULL,
    PRIMARY KEY (tenant, username)
);

CREATE INDEX login_attempts_expires_at ON auth.login_attempts (expires_at);

CREATE TABLE auth.signing_keys (
    id          text PRIMARY KEY,
    public_key  bytea NOT NULL,
    private_key bytea NOT NULL, -- sealed for "auth.signing_key/<id>"
    created_at  timestamptz NOT NULL,
    signs_from  timestamptz NOT NULL,
    retires_at  timestamptz -- null until a successor is made
);

-- +goose Up

ALTER TABLE auth.sessions
    ADD COLUMN user_agent text NOT NULL DEFAULT '',
    ADD COLUMN seen_at timestamptz; -- null until the first use is written down

-- Links to set a forgotten password. Void ones stay for an hour: they say how many a user was sent.
CREATE TABLE auth.password_resets (
    token_hash bytea PRIMARY KEY, -- keyed, of "auth.password_reset"
    user_id    bigint NOT NULL REFERENCES auth.users (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL -- in the past once used or replaced
);

CREATE INDEX password_resets_user_id ON auth.password_resets (user_id, created_at);
CREATE INDEX password_resets_created_at ON auth.password_resets (created_at);

CREATE INDEX users_lower_email ON auth.users (lower(email)) WHERE email <> '';

-- Second factors (RFC 6238).
CREATE TABLE auth.totp (
    user_id      bigint PRIMARY KEY REFERENCES auth.users (id) ON DELETE CASCADE,
    secret       bytea NOT NULL,      -- sealed for "auth.totp/<user_id>"
    confirmed_at timestamptz,         -- null until the first code: counts for nothing before
    last_step    bigint NOT NULL      -- the newest time step that was used, none before it can be
);

CREATE TABLE auth.recovery_codes (
    user_id   bigint NOT NULL REFERENCES auth.totp (user_id) ON DELETE CASCADE,
    code_hash bytea NOT NULL, -- keyed, of "auth.recovery_code/<user_id>"
    PRIMARY KEY (user_id, code_hash)
);

-- OpenID Connect providers of tenants.
CREATE TABLE auth.oidc_providers (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id      bigint NOT NULL REFERENCES auth.tenants (id),
    name           text NOT NULL,
    issuer         text NOT NULL,
    client_id      text NOT NULL,
    client_secret  bytea NOT NULL, -- sealed for "auth.oidc_provider/<tenant>/<name>"
    scopes         text[] NOT NULL,
    username_claim text NOT NULL,
    role_id        bigint, -- of users that sign-ins make; null: they make none
    enabled        boolean NOT NULL DEFAULT true,
    created_at     timestamptz NOT NULL,
    CONSTRAINT oidc_providers_name UNIQUE (tenant_id, name),
    CONSTRAINT oidc_providers_role FOREIGN KEY (tenant_id, role_id) REFERENCES auth.roles (tenant_id, id)
);

CREATE INDEX oidc_providers_role_id ON auth.oidc_providers (role_id);

-- Who of a provider is which user.
CREATE TABLE auth.oidc_identities (
    provider_id bigint NOT NULL REFERENCES auth.oidc_providers (id) ON DELETE CASCADE,
    subject     text NOT NULL,
    user_id     bigint NOT NULL REFERENCES auth.users (id) ON DELETE CASCADE,
    made_user   boolean NOT NULL, -- such a user has no password that he could have forgotten
    created_at  timestamptz NOT NULL,
    CONSTRAINT oidc_identities_subject PRIMARY KEY (provider_id, subject)
);

CREATE INDEX oidc_identities_user_id ON auth.oidc_identities (user_id);

-- Sign-ins under way at a provider.
CREATE TABLE auth.oidc_logins (
    state_hash   bytea PRIMARY KEY,  -- keyed, of "auth.oidc_state"
    browser_hash bytea NOT NULL,     -- keyed, of "auth.oidc_browser"
    provider_id  bigint NOT NULL REFERENCES auth.oidc_providers (id) ON DELETE CASCADE,
    sealed       bytea NOT NULL,     -- nonce and verifier, for "auth.oidc_login"
    expires_at   timestamptz NOT NULL
);

CREATE INDEX oidc_logins_expires_at ON auth.oidc_logins (expires_at);

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

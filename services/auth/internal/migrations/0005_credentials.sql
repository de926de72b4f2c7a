-- +goose Up

-- Whatever somebody shows to be let in hangs on a session, so that one query decides about all of it, and the end of the session is
-- the end of it.
ALTER TABLE auth.sessions
    ADD COLUMN kind text NOT NULL DEFAULT 'password'
        CONSTRAINT sessions_kind CHECK (kind IN ('password', 'refresh', 'cookie', 'api_token', 'app_key')),
    ADD COLUMN secret_hash bytea CONSTRAINT sessions_secret_hash UNIQUE, -- keyed, of "auth.session/<kind>"; null for kind password
    ADD COLUMN turn_hash bytea, -- of kind refresh: of the half of the refresh token that changes with every use
    ADD COLUMN read_only boolean NOT NULL DEFAULT false,
    ADD COLUMN scopes text[] NOT NULL DEFAULT '{}',   -- modules; none: all
    ADD COLUMN networks cidr[] NOT NULL DEFAULT '{}'; -- that it may be used from; none: from anywhere

-- The sessions that began with a sign-in, and end with a new password. Tokens do not: their user removes them.
CREATE VIEW auth.sign_ins AS
    SELECT id, user_id, kind, address, created_at, expires_at
      FROM auth.sessions
     WHERE kind IN ('password', 'refresh', 'cookie');

-- What is known of API tokens and app keys besides their sessions, which live as long as they do; expires_at is infinity when nothing
-- else was said.
CREATE TABLE auth.tokens (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session_id  text NOT NULL CONSTRAINT tokens_session UNIQUE REFERENCES auth.sessions (id) ON DELETE CASCADE,
    kind        text NOT NULL CONSTRAINT tokens_kind CHECK (kind IN ('api_token', 'app_key')),
    name        text NOT NULL CONSTRAINT tokens_name_length CHECK (length(name) BETWEEN 1 AND 128),
    description text NOT NULL,
    hint        text NOT NULL, -- the value with all but its end masked
    sealed      bytea          -- the value, for "auth.token/<session_id>"; null unless reading back was on when it was made
);

CREATE UNIQUE INDEX tokens_appname ON auth.tokens (lower(name)) WHERE kind = 'app_key';

ALTER TABLE auth.audit ADD COLUMN detail text NOT NULL DEFAULT ''; -- what was done, in words, where a list shows it

CREATE INDEX audit_tokens ON auth.audit (id)
    WHERE action IN ('token.created', 'token.updated', 'token.deleted', 'app_key.created', 'app_key.deleted');

-- +goose Up

-- Whether names stand below another: all of them share the beginning when they are read from the end.
CREATE INDEX records_below ON dns.records (domain_id, reverse(name) COLLATE "C");

-- Whether a change alters more of the zone than its sets, so that a server that derives things from all names has to do so again.
ALTER TABLE dns.changes ADD COLUMN reshapes boolean NOT NULL DEFAULT false;

-- +goose Up

-- Of the time that writing many records takes, indexes are the larger part: three do what six did.

-- Lists, by id, of one type or of all. Records are looked up in their domain only.
DROP INDEX dns.records_list, dns.records_list_type;
ALTER TABLE dns.records DROP CONSTRAINT records_pkey,
    ADD CONSTRAINT records_list PRIMARY KEY (domain_id, id) INCLUDE (type);

-- Names are looked up read from the end, so that one index finds a name and all below it. No record is there twice; a value may be longer than an
-- index entry can be.
CREATE UNIQUE INDEX records_name ON dns.records (domain_id, reverse(name) COLLATE "C", type, hashtextextended(value, 0));
DROP INDEX dns.records_value, dns.records_below;

-- The rows of a change are written when it is committed, while its server is told: until then its images say what they will be.
ALTER TABLE dns.changes ADD COLUMN written boolean NOT NULL DEFAULT true;
CREATE INDEX changes_unwritten ON dns.changes (domain_id) WHERE NOT written;

-- +goose Up

-- Jobs that write to Kafka; their config is an opsdeck.replication.v1.SubscriptionConfig, their target_host the brokers.
ALTER TABLE replication.jobs DROP CONSTRAINT jobs_type_check,
    ADD CONSTRAINT jobs_type_check CHECK (type IN ('migration', 'sync', 'subscription'));

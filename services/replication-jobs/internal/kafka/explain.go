package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

var (
	errUnanswered = errors.New("no broker has answered in time")
	errStalled    = errors.New("the brokers have acknowledged nothing for too long")
)

// fencing are the errors by which brokers tell a producer that a later one has taken its place. With the last of them they answer a
// commit whose transaction the later one has rolled back a moment before.
var fencing = []error{kerr.ProducerFenced, kerr.InvalidProducerEpoch, kerr.InvalidProducerIDMapping, kerr.InvalidTxnState}

// hints say what to do about errors that an operator can cure.
var hints = []struct {
	err  error
	text string
}{
	{syscall.ECONNREFUSED, "nothing listens there"},
	{io.EOF, "the broker closed the connection, as it does when one side alone wants TLS or SASL, or refuses the account"},
	{kerr.SaslAuthenticationFailed, "the brokers refuse the user or the password"},
	{kerr.UnsupportedSaslMechanism, "the brokers do not offer this SASL mechanism"},
	{kerr.TopicAuthorizationFailed, "the user needs the rights to describe, create and write the topic"},
	{kerr.TransactionalIDAuthorizationFailed, "the user needs the rights to describe and write the transactional ids that begin with opsdeck-"},
	{kerr.ClusterAuthorizationFailed, "the user needs the right to create topics"},
	{kerr.MessageTooLarge, "the topic's max.message.bytes is below kafka_max_message_bytes: raise it, or lower that"},
	{kerr.RecordListTooLarge, "the topic's segment.bytes is below kafka_max_message_bytes: raise it, or lower that"},
	{kerr.InvalidTransactionTimeout, "the brokers' transaction.max.timeout.ms is below 15 minutes: raise it to 900000"},
	{kerr.InvalidTopicException, "a topic must be named in 249 letters, digits, '.', '_' and '-', and not differ from another only in '.' and '_'"},
	{kerr.NotEnoughReplicas, "fewer replicas are in sync than min.insync.replicas asks for"},
	{kerr.NotEnoughReplicasAfterAppend, "fewer replicas are in sync than min.insync.replicas asks for"},
	{kerr.InvalidReplicationFactor, "the brokers' default.replication.factor is larger than the number of brokers"},
}

// explain puts an error of the client into words for the operator.
func (c Config) explain(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	for _, fenced := range fencing {
		if errors.Is(err, fenced) {
			return progress.ErrFenced
		}
	}
	for _, hint := range hints {
		if errors.Is(err, hint.err) {
			return fmt.Errorf("kafka %s: %s: %w", c.Addr(), hint.text, err)
		}
	}
	return fmt.Errorf("kafka %s: %w", c.Addr(), err)
}

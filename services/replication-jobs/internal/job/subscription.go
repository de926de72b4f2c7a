package job

import (
	"context"
	"net"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/secret"
)

// Subscription is the type of jobs that write to Kafka.
const Subscription = "subscription"

// Subscriptions answers the calls of people about jobs of that type that need their configuration.
type Subscriptions struct {
	replicationv1.UnimplementedSubscriptionServiceServer

	jobs *Service
}

// NewSubscriptions returns the service; jobs does what all types have in common.
func NewSubscriptions(jobs *Service) *Subscriptions { return &Subscriptions{jobs: jobs} }

// CreateSubscription stores a job; the first node with room takes it.
func (s *Subscriptions) CreateSubscription(
	ctx context.Context, r *replicationv1.CreateSubscriptionRequest,
) (*replicationv1.CreateSubscriptionResponse, error) {
	config := r.GetJob()
	config.JobId += "-" + Subscription
	row, err := s.row(config, uuid.NewString(), passwords{})
	if err != nil {
		return nil, err
	}
	index, err := s.jobs.create(ctx, row)
	if err != nil {
		return nil, err
	}
	return &replicationv1.CreateSubscriptionResponse{Job: maskedSubscription(config), EvalCreateIndex: index, JobModifyIndex: index}, nil
}

// UpdateSubscription gives a job another configuration and takes it from its node, so that it is placed and started anew, also if it was
// finished: with another task_step_name it may have more to do.
func (s *Subscriptions) UpdateSubscription(
	ctx context.Context, r *replicationv1.UpdateSubscriptionRequest,
) (*replicationv1.UpdateSubscriptionResponse, error) {
	config := r.GetJob()
	if !strings.HasSuffix(config.GetJobId(), "-"+Subscription) {
		config.JobId += "-" + Subscription
	}
	index, err := s.jobs.update(ctx, config.GetJobId(), func(_ context.Context, _ pgx.Tx, j locked) (newJob, error) {
		before, err := unseal(s.jobs.sealer, j.ID, j.Incarnation, j.Source, j.Target)
		if err != nil {
			return newJob{}, err
		}
		return s.row(config, j.Incarnation, before)
	})
	if err != nil {
		return nil, err
	}
	return &replicationv1.UpdateSubscriptionResponse{Job: maskedSubscription(config), EvalCreateIndex: index, JobModifyIndex: index}, nil
}

// row checks a configuration and turns it into what is stored. A password that is the mask stays what it was before.
func (s *Subscriptions) row(config *replicationv1.SubscriptionConfig, incarnation string, before passwords) (newJob, error) {
	completeSubscription(config)
	if err := checkSubscription(config); err != nil {
		return newJob{}, err
	}
	words, err := s.readPasswords(config, before)
	if err != nil {
		return newJob{}, err
	}
	box, err := seal(s.jobs.sealer, incarnation, words)
	if err != nil {
		return newJob{}, err
	}
	setSubscriptionPasswords(config, passwords{})
	text, err := asJSON.Marshal(config)
	if err != nil {
		return newJob{}, err
	}
	return newJob{
		id: config.GetJobId(), jobType: Subscription, incarnation: incarnation, config: text, step: config.GetTaskStepName(),
		sourceHost: config.GetSrcTask().GetMysqlConnectionConfig().GetMysqlHost(),
		targetHost: strings.Join(config.GetDestTask().GetKafkaBrokerAddrs(), ","),
		passwords:  box, nodes: wishesOf(config.GetFailover(), config.GetSrcTask().GetNodeId(), config.GetDestTask().GetNodeId()),
	}, nil
}

func (s *Subscriptions) readPasswords(config *replicationv1.SubscriptionConfig, before passwords) (passwords, error) {
	words := passwords{source: config.GetSrcTask().GetMysqlConnectionConfig().GetMysqlPassword(), target: config.GetDestTask().GetKafkaPassword()}
	encrypted := config.GetIsMysqlPasswordEncrypted()
	var err error
	if words.source, err = s.jobs.readPassword("job.src_task.mysql_connection_config.mysql_password", words.source, before.source, encrypted); err != nil {
		return words, err
	}
	words.target, err = s.jobs.readPassword("job.dest_task.kafka_password", words.target, before.target, encrypted)
	return words, err
}

// completeSubscription fills in the defaults of the contract.
func completeSubscription(c *replicationv1.SubscriptionConfig) {
	fill(&c.Failover, true)
	fill(&c.Retry, 2)
	completeSource(c.GetSrcTask())
	dest := c.GetDestTask()
	fill(&dest.MessageGroupMaxSize, 1)
	fill(&dest.MessageGroupTimeout, 100)
	dest.ParallelWorkers = nil
}

// checkSubscription refuses what the rules of the message cannot.
func checkSubscription(c *replicationv1.SubscriptionConfig) error {
	dest := c.GetDestTask()
	if err := checkCommon(c, Subscription); err != nil {
		return err
	}
	if len(c.GetSrcTask().GetReplicateObjects()) > 0 {
		return fault.Invalid("job.src_task.replicate_objects", "means nothing to a subscription: leave it out")
	}
	for i, addr := range dest.GetKafkaBrokerAddrs() {
		_, port, err := net.SplitHostPort(addr)
		if n, convErr := strconv.ParseUint(port, 10, 16); err != nil || convErr != nil || n == 0 {
			return fault.Invalid("job.dest_task.kafka_broker_addrs["+strconv.Itoa(i)+"]", "%q is no host:port with a port from 1 to 65535", addr)
		}
	}
	switch {
	case dest.GetKafkaSaslMechanism() != "" && (dest.GetKafkaUser() == "" || dest.GetKafkaPassword() == ""):
		return fault.Invalid("job.dest_task.kafka_user", "and kafka_password are required with kafka_sasl_mechanism %s", dest.GetKafkaSaslMechanism())
	case dest.GetKafkaSaslMechanism() == "" && (dest.GetKafkaUser() != "" || dest.GetKafkaPassword() != ""):
		return fault.Invalid("job.dest_task.kafka_sasl_mechanism", "is required with kafka_user and kafka_password: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")
	case dest.GetKafkaTlsCa() != "" && !dest.GetKafkaTls():
		return fault.Invalid("job.dest_task.kafka_tls_ca", "has no meaning without kafka_tls")
	case dest.GetKafkaSchemaChangeTopic() == dest.GetKafkaTopic() && dest.GetKafkaSingleTopic():
		return fault.Invalid("job.dest_task.kafka_schema_change_topic", "is the topic of the rows: name another one")
	}
	return checkNodes(c.GetFailover(), c.GetSrcTask().GetNodeId(), dest.GetNodeId())
}

func maskedSubscription(c *replicationv1.SubscriptionConfig) *replicationv1.SubscriptionConfig {
	words := passwords{source: mask}
	if c.GetDestTask().GetKafkaSaslMechanism() != "" {
		words.target = mask
	}
	setSubscriptionPasswords(c, words)
	return c
}

func setSubscriptionPasswords(c *replicationv1.SubscriptionConfig, p passwords) {
	c.SrcTask.MysqlConnectionConfig.MysqlPassword = p.source
	c.DestTask.KafkaPassword = p.target
}

// ReadSubscription reads the stored configuration of a job. It holds no passwords.
func ReadSubscription(id string, text []byte) (*replicationv1.SubscriptionConfig, error) {
	config := &replicationv1.SubscriptionConfig{}
	return config, read(id, text, config)
}

// UnsealSubscription puts the stored passwords of a job back into its configuration.
func UnsealSubscription(s *secret.Sealer, c *replicationv1.SubscriptionConfig, incarnation string, source, target []byte) error {
	words, err := unseal(s, c.GetJobId(), incarnation, source, target)
	setSubscriptionPasswords(c, words)
	return err
}

// connections is what the detail shows of a subscription's ends.
func connections(c *replicationv1.SubscriptionConfig) *replicationv1.ConnectionInfo {
	dest := c.GetDestTask()
	return &replicationv1.ConnectionInfo{
		SrcDataBase: c.GetSrcTask().GetMysqlConnectionConfig(), DstDataBase: &replicationv1.MySQLConnection{},
		DstKafka: &replicationv1.KafkaConnection{
			TaskName: dest.GetTaskName(), KafkaBrokerAddrs: dest.GetKafkaBrokerAddrs(), KafkaTopic: dest.GetKafkaTopic(),
			MessageGroupMaxSize: dest.GetMessageGroupMaxSize(), MessageGroupTimeout: dest.GetMessageGroupTimeout(),
			KafkaSingleTopic: dest.GetKafkaSingleTopic(), KafkaSchemaChangeTopic: dest.GetKafkaSchemaChangeTopic(), KafkaSchemas: dest.KafkaSchemas,
			KafkaDecimal: dest.GetKafkaDecimal(), KafkaBigintUnsigned: dest.GetKafkaBigintUnsigned(), KafkaMaxMessageBytes: dest.KafkaMaxMessageBytes,
			KafkaTls: dest.GetKafkaTls(), KafkaSaslMechanism: dest.GetKafkaSaslMechanism(), KafkaUser: dest.GetKafkaUser(), KafkaPassword: dest.GetKafkaPassword(),
		},
	}
}

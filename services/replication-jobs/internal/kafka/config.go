// Package kafka writes messages to a Kafka cluster in transactions, together with the progress of the job that they belong to. A job has
// a transactional id and a compacted topic for its progress, both named by its incarnation: messages and position are committed as
// one, and whoever opens a producer for the job fences off every earlier one.
package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"
)

const (
	dialTimeout = 10 * time.Second
	clientID    = "opsdeck"
)

// The mechanisms of SASL, as Kafka names them.
const (
	Plain       = "PLAIN"
	ScramSHA256 = "SCRAM-SHA-256"
	ScramSHA512 = "SCRAM-SHA-512"
)

// Config says where a cluster is and who signs in.
type Config struct {
	// Brokers are host:port of some of the brokers.
	Brokers []string
	// TLS encrypts the connections; CA is PEM of the authorities to trust, "" for those of the system.
	TLS bool
	CA  string
	// Mechanism is one of SASL, "" to connect without an account.
	Mechanism, User, Password string
	// MaxMessage is the largest message in bytes, before compression; it has to fit the brokers' message.max.bytes.
	MaxMessage int
}

// ConfigOf returns the configuration that a task names.
func ConfigOf(t *replicationv1.KafkaTask) Config {
	return Config{
		Brokers: t.GetKafkaBrokerAddrs(), TLS: t.GetKafkaTls(), CA: t.GetKafkaTlsCa(),
		Mechanism: t.GetKafkaSaslMechanism(), User: t.GetKafkaUser(), Password: t.GetKafkaPassword(),
	}
}

// Addr returns the brokers, fit for messages: it holds no secret.
func (c Config) Addr() string { return strings.Join(c.Brokers, ",") }

// options are what every connection needs.
func (c Config) options() ([]kgo.Opt, error) {
	out := []kgo.Opt{kgo.SeedBrokers(c.Brokers...), kgo.ClientID(clientID), kgo.DialTimeout(dialTimeout)}
	if c.TLS {
		settings := &tls.Config{MinVersion: tls.VersionTLS12}
		if c.CA != "" {
			settings.RootCAs = x509.NewCertPool()
			if !settings.RootCAs.AppendCertsFromPEM([]byte(c.CA)) {
				return nil, errors.New("kafka_tls_ca holds no certificate in PEM")
			}
		}
		out = append(out, kgo.DialTLSConfig(settings))
	}
	switch c.Mechanism {
	case "":
	case Plain:
		out = append(out, kgo.SASL(plain.Auth{User: c.User, Pass: c.Password}.AsMechanism()))
	case ScramSHA256:
		out = append(out, kgo.SASL(scram.Auth{User: c.User, Pass: c.Password}.AsSha256Mechanism()))
	case ScramSHA512:
		out = append(out, kgo.SASL(scram.Auth{User: c.User, Pass: c.Password}.AsSha512Mechanism()))
	default:
		return nil, fmt.Errorf("the SASL mechanism %q is not known", c.Mechanism)
	}
	return out, nil
}

// Job names the job whose messages are written.
type Job struct {
	ID string
	// Incarnation tells a job from an earlier one of the same ID.
	Incarnation string
	// Epoch rises with every placement of the job.
	Epoch int64
}

func (j Job) transactionalID() string { return "opsdeck-" + j.Incarnation }

// ProgressTopic is where the job's progress is kept.
func (j Job) ProgressTopic() string { return "opsdeck.progress." + j.Incarnation }

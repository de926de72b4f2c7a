// Package feed turns the tables and the binary log of a source into messages on Kafka: a copy of the rows from a snapshot, then every
// change. Messages and the position that they lead to are committed in one transaction of Kafka, so that whoever reads committed
// messages only sees each change once and in order, whatever was killed in between.
package feed

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/debezium"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/kafka"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mapping"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// Config says what to write where.
type Config struct {
	Source mysql.Config
	// JobID marks the sessions that read a copy, so that a later run can end them.
	JobID  string
	Flavor mysql.Flavor
	// Mapping chooses tables, columns and rows. A table's new name is that of its topic and schemas.
	Mapping *mapping.Mapping
	Format  debezium.Options
	// Collations are those of the source.
	Collations debezium.Collations
	Topics     *Topics
	Producer   *kafka.Producer
	// ChunkSize is the number of rows after which a copy notes how far it has come, Readers the number of source sessions.
	ChunkSize, Readers int
	// GroupBytes and GroupTimeout say when a transaction of Kafka is worth it: with so many bytes of messages, or so long after the
	// first of them. While one is committed, what arrives meanwhile is gathered into the next, whatever they say.
	GroupBytes   int64
	GroupTimeout time.Duration
	// Event tells the operator of things worth knowing.
	Event func(kind, message string)
	Log   *zap.Logger
}

// maxTopic is the longest name of a topic, in bytes.
const maxTopic = 249

// Topics names the topics of tables.
type Topics struct {
	// Prefix is before the schema and the table, or the only topic if Single is set.
	Prefix string
	Single bool
	// Changes is the topic of DDL statements.
	Changes string

	mu   sync.Mutex
	used map[string]ddl.Name
}

// Of returns the topic of a table of the source by the name under which it is told. What a name of a topic cannot hold becomes '_', as with Debezium; two tables that would share a topic
// by that are an error.
func (t *Topics) Of(source, told ddl.Name) (string, error) {
	if t.Single {
		return t.Prefix, nil
	}
	name := t.Prefix + "." + fit(told.Schema) + "." + fit(told.Table)
	if len(name) > maxTopic {
		return "", fmt.Errorf("topic %s of table %s.%s is longer than %d characters: choose a shorter kafka_topic, or kafka_single_topic", name, source.Schema, source.Table, maxTopic)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if other, ok := t.used[name]; ok && other != source {
		return "", fmt.Errorf("tables %s.%s and %s.%s would share the topic %s: leave one out, name one otherwise, or choose kafka_single_topic",
			other.Schema, other.Table, source.Schema, source.Table, name)
	}
	if t.used == nil {
		t.used = map[string]ddl.Name{}
	}
	t.used[name] = source
	return name, nil
}

// fit replaces what a topic cannot be named.
func fit(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '_', r == '-':
			return r
		}
		return '_'
	}, name)
}

// table is a table whose messages can be written.
type table struct {
	*debezium.Table
	rows        *mapping.Rows
	topic, name string
	about       string // of messages, for errors
}

// table prepares messages for a table of the source. Columns and key are all that it has there, as the catalog or the log defines them.
func (c *Config) table(source ddl.Name, catalog []mysql.Column, columns []debezium.Column, key []int) (*table, error) {
	rows, err := c.Mapping.Rows(source, catalog)
	if err != nil {
		return nil, err
	}
	if key, err = rows.Place(key); err != nil {
		return nil, err
	}
	told, err := c.Mapping.Target(source)
	if err != nil {
		return nil, err
	}
	topic, err := c.Topics.Of(source, told)
	if err != nil {
		return nil, err
	}
	chosen := make([]debezium.Column, 0, len(columns))
	for _, at := range rows.Order(len(columns)) {
		chosen = append(chosen, columns[at])
	}
	name := source.Schema + "." + source.Table
	return &table{Table: c.Format.NewTable(source, told, chosen, key), rows: rows, topic: topic, name: name, about: "a row of " + name}, nil
}

// message is one about a row of the table.
func (t *table) message(key, value []byte, now time.Time) kafka.Message {
	return kafka.Message{Topic: t.topic, Key: key, Value: value, Time: now, About: t.about}
}

// change is a message about a DDL statement.
func (c *Config) change(schema, statement string, source debezium.Source, now time.Time) kafka.Message {
	key, value := c.Format.Change(schema, statement, source, now)
	return kafka.Message{Topic: c.Topics.Changes, Key: key, Value: value, Time: now, About: "a statement on schema " + schema}
}

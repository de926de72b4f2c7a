// Package engine runs a replication job: it copies the chosen tables from a snapshot of the source, then applies what the
// source's binary log says since, until it is told to stop. A job may be stopped, or killed, at any moment and run again.
package engine

import (
	"time"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/filter"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/kafka"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/objects"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/relay"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/verify"
)

// Step chooses what a job does.
type Step string

// The steps of a job; the empty one is StepAll.
const (
	// StepFull copies and ends.
	StepFull Step = "job_stage_full"
	// StepIncr follows the binary log without a copy.
	StepIncr Step = "job_stage_incr"
	// StepAll copies and then follows the binary log.
	StepAll Step = "all"
)

// NoDependency says what use_my_sql_dependency does.
const NoDependency = "use_my_sql_dependency changes nothing: which transactions can be executed side by side is told by the keys of their rows, whatever the source's log says of them"

// Job is one replication job, and the run of it that is about to start.
type Job struct {
	ID string
	// Incarnation tells a job from an earlier one of the same ID: what the target remembers of that one is forgotten.
	Incarnation string
	// Epoch rises with every run; the target refuses what runs of a lower epoch write.
	Epoch int64
	// Step is "job_stage_full", "job_stage_incr", "all" or "".
	Step           string
	Source, Target mysql.Config
	// Alternates are further servers of the source's topology, in order. A run reads from the first, the source before them, that can be used and
	// has executed all that the job has replicated.
	Alternates []mysql.Config
	// Do and Ignore choose schemas and tables.
	Do, Ignore []filter.SchemaRule
	// TakesOver is set for a job that begins where one that ran the other way has ended.
	TakesOver bool
	// Relay says where the source's binary log is kept until it is applied; nil to read it from the source when it is wanted.
	Relay *Relay
	// Finish is closed when the run is to end as soon as its source writes no more to what it replicates and all of it is applied; Run then
	// returns nil. A nil one never is.
	Finish <-chan struct{} `json:"-"`
	// Verify is where orders to compare target and source come in; nil for none.
	Verify *verify.Desk `json:"-"`
	// Decisions are those of the operator about statements at which the job stood.
	Decisions []ddl.Decision
	// StartGTID is where a job without a copy starts, if it has no progress yet.
	StartGTID string
	// AutoGTID starts a job, also one of all steps, at the source's current position, without a copy.
	AutoGTID bool
	// ChunkSize is the number of rows that a copy writes at a time; 0 means 2000.
	ChunkSize int
	// ParallelWorkers is the number of target sessions: of a copy, where fewer than 4 mean 4, and of what follows while it is behind, where
	// more than 8 mean 8.
	ParallelWorkers int
	// Merge is how many source transactions one target transaction may hold; 0 means 1000, 1 keeps them one to one.
	Merge int
	// History bounds the rows whose keys are remembered of a target transaction under way; see apply.Config.
	History int
	// SourceDependency asks for what the source's log says of dependencies, which is not used.
	SourceDependency bool
	// GroupBytes and GroupTimeout make a target transaction that would hold less log wait for more, but not longer.
	GroupBytes   int64
	GroupTimeout time.Duration
	// MaxRowsPerSecond and MaxBytesPerSecond hold copying and applying back; 0 does not. Bytes are those of statements in a copy, and of the log
	// afterwards.
	MaxRowsPerSecond, MaxBytesPerSecond int64
	// Conflicts says what becomes of changes from the binary log that do not fit the target: "stop", which is what "" means, "overwrite" or "log".
	Conflicts string
	// QueueSize is the number of transactions that may wait between reading and applying; fewer than 4096 mean 4096. What waits is
	// bounded in bytes as well.
	QueueSize int
	// Subscription is set for a job that writes to Kafka instead of a target.
	Subscription *Subscription
	// Objects are the kinds that are replicated besides tables.
	Objects []objects.Kind
	// DropTableIfExists lets a copy replace tables of the target, SkipCreateDBTable makes it use them as they are.
	DropTableIfExists, SkipCreateDBTable bool
}

// Relay says where the binary log of a job's source is kept.
type Relay struct {
	// Store is that of the worker node.
	Store relay.Store
	// MaxBytes is what the log may take before the source has to wait.
	MaxBytes int64
	// Elsewhere is the name of another node that has a relay log of the job; "" if none has.
	Elsewhere string
}

// Subscription says how a job writes to Kafka.
type Subscription struct {
	Brokers kafka.Config
	// Topic stands before schema and table in the names of topics, or is the only topic if SingleTopic is set. ChangeTopic takes the DDL.
	Topic       string
	SingleTopic bool
	ChangeTopic string
	// Schemas, DecimalString and PreciseUnsigned choose the form of messages; see debezium.Options.
	Schemas, DecimalString, PreciseUnsigned bool
	// GroupBytes and GroupTimeout say when a transaction of Kafka is worth it; see feed.Config.
	GroupBytes   int64
	GroupTimeout time.Duration
}

// Reporter hears what a run does. Its methods are called from several goroutines and must return soon.
type Reporter interface {
	// Event tells the operator of a step, by a short kind and a sentence.
	Event(kind, message string)
	// Progress is called about every second, for the first time when both ends are connected and the job is claimed.
	Progress(p Progress)
}

// Progress is where a job is.
type Progress struct {
	// Stage is "job_stage_full" or "job_stage_incr", and empty before either has begun.
	Stage string
	// CopiedRows and TotalRows are those of the copy; the total rests on the source's statistics until the copy is done.
	CopiedRows, TotalRows int64
	// Percent is that of the copy, 100 once it is done.
	Percent float64
	// ETA is the time until the copy is done, or until what waits is applied; 0 if there is nothing to wait for.
	ETA time.Duration
	// Source is the position read from the source, Executed the one applied on the target.
	Source, Executed mysql.Position
	// ReadTx and ReadRows count what this run has read from the binary log, ExecTx and ExecRows what it has applied.
	ReadTx, ReadRows, ExecTx, ExecRows int64
	// Lag is how far the target is behind the source.
	Lag time.Duration
	// QueueTransactions wait to be applied, of at most QueueCapacity.
	QueueTransactions, QueueCapacity int64
	// Conflicts counts the changes that did not fit the target and were overwritten or left out.
	Conflicts int64
	// RowsPerSecond is the rate of copying or applying over the last seconds.
	RowsPerSecond float64
	// Relay is the state of the relay log, nil without one.
	Relay *relay.Stats
	// SourceAway is set while what the relay log holds is applied, since the source cannot be reached.
	SourceAway bool
	// End is where the target's own binary log stands behind all that a run has applied that was told to finish; empty before.
	End mysql.Position
}

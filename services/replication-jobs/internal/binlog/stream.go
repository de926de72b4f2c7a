package binlog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-mysql-org/go-mysql/replication"
	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

const (
	defaultQueueBytes        = 32 << 20
	defaultQueueTransactions = 4096
	// partsPerQueue is how many parts of a large transaction fit into the queue, so that one can be read while another is applied.
	partsPerQueue = 4
)

// Events is a binary log that is kept elsewhere than at its source.
type Events interface {
	// Read calls take with each event, as the bytes that a Download has brought, until ctx ends, take fails or nothing more will come.
	Read(ctx context.Context, take func(raw []byte) error) error
}

// Config says what to read.
type Config struct {
	Source mysql.Config
	Flavor mysql.Flavor
	// Start is the position to start behind: its GTIDSet, or where that is empty its file and offset.
	Start mysql.Position
	// Events is read instead of the source, from Start on; nil to read the source.
	Events    Events
	Selection ddl.Selection
	// LeaveOut are names of the server that the changes go to (see package origin): what other jobs have brought from there does not go back.
	LeaveOut []string
	// QueueBytes and QueueTransactions bound what is read ahead; 0 means 32 MiB and 4096.
	QueueBytes        int64
	QueueTransactions int
	// Metadata asks for the shapes of tables, which the source logs with binlog_row_metadata=FULL; an event without is an error.
	Metadata bool
	Logger   *zap.Logger
}

// Stats says how far the stream has read.
type Stats struct {
	Transactions, Events, Bytes int64
	// QueueBytes and QueueTransactions are read and not yet released.
	QueueBytes, QueueTransactions int64
	// Position is the end of the last transaction that was read, without its GTID set.
	Position mysql.Position
}

// Stream is a binary log as transactions.
type Stream struct {
	parser    *replication.BinlogParser
	assembler *assembler
	out       chan *Transaction
	budget    *budget
	ctx       context.Context //nolint:containedctx // the life of the stream, which outlives Open
	cancel    context.CancelCauseFunc
	finished  sync.WaitGroup

	transactions, events, bytes atomic.Int64
	position                    atomic.Pointer[mysql.Position]
}

// Open starts reading. The stream ends with ctx, with Close, or with the first error, which Err returns.
func Open(ctx context.Context, cfg Config) (*Stream, error) {
	if cfg.QueueBytes <= 0 {
		cfg.QueueBytes = defaultQueueBytes
	}
	if cfg.QueueTransactions <= 0 {
		cfg.QueueTransactions = defaultQueueTransactions
	}
	s := &Stream{out: make(chan *Transaction, cfg.QueueTransactions), budget: newBudget(cfg.QueueBytes)}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	context.AfterFunc(s.ctx, s.budget.close)
	s.assembler = newAssembler(cfg.Selection, max(cfg.QueueBytes/partsPerQueue, 1), s.deliver)
	s.assembler.file, s.assembler.leaveOut = cfg.Start.File, cfg.LeaveOut
	if cfg.Metadata {
		s.assembler.shapes = shapes{}
	}
	s.parser = newParser(cfg, s.assembler.keep)
	if cfg.Events != nil {
		s.finished.Go(func() { s.end(explain(cfg.Events.Read(s.ctx, s.take))) })
		return s, nil
	}
	download, err := StartDownload(s.ctx, Origin{cfg.Source, cfg.Flavor, cfg.Start}, s.take, cfg.Logger)
	if err != nil {
		s.cancel(errClosed)
		return nil, err
	}
	s.finished.Go(func() { s.end(download.Wait()) })
	return s, nil
}

func newParser(cfg Config, keep func(*replication.RowsEvent, []byte) error) *replication.BinlogParser {
	p := replication.NewBinlogParser()
	p.SetFlavor(cfg.Flavor.Name())
	p.SetTimestampStringLocation(time.UTC)
	p.SetRenderJSONAsMySQLText(true)
	p.SetRowsEventDecodeFunc(keep)
	if !cfg.Metadata {
		// Of an applier, signs, names and character sets are taken from the target's definition, which every server can tell.
		p.SetTableMapOptionalMetaDecodeFunc(func([]byte) error { return nil })
	}
	return p
}

// end closes the channel when nothing more comes.
func (s *Stream) end(err error) {
	s.cancel(err)
	close(s.out)
}

// take handles one event as bytes.
func (s *Stream) take(raw []byte) error {
	e, err := s.parse(raw)
	if err != nil {
		return err
	}
	s.events.Add(1)
	s.bytes.Add(int64(e.Header.EventSize))
	return s.assembler.handle(e)
}

// parse reads an event; one at which the parser panics is the end of this stream, and not of the whole process.
func (s *Stream) parse(raw []byte) (e *replication.BinlogEvent, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("an event of the binary log cannot be read: %v", p)
		}
	}()
	return s.parser.Parse(raw)
}

func (s *Stream) deliver(t *Transaction) error {
	if !s.budget.acquire(t.Bytes) {
		return errClosed
	}
	t.release = s.budget.release
	select {
	case s.out <- t:
	case <-s.ctx.Done():
		return errClosed
	}
	if t.Last {
		s.transactions.Add(1)
		s.position.Store(&t.Position)
	}
	return nil
}

// Transactions is the stream itself. The channel is closed at its end; what was read before is still in it.
func (s *Stream) Transactions() <-chan *Transaction { return s.out }

// Err says why the stream ended, nil while it runs and after Close.
func (s *Stream) Err() error {
	if err := context.Cause(s.ctx); !errors.Is(err, errClosed) {
		return err
	}
	return nil
}

// Close ends the stream and waits until nothing of it runs.
func (s *Stream) Close() {
	s.cancel(errClosed)
	s.finished.Wait()
}

// Stats returns the counters.
func (s *Stream) Stats() Stats {
	st := Stats{
		Transactions: s.transactions.Load(), Events: s.events.Load(), Bytes: s.bytes.Load(),
		QueueBytes: s.budget.held(), QueueTransactions: int64(len(s.out)),
	}
	if p := s.position.Load(); p != nil {
		st.Position = *p
	}
	return st
}

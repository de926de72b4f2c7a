package binlog

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"
	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

const (
	defaultQueueBytes        = 64 << 20
	defaultQueueTransactions = 4096
	// partsPerQueue is how many parts of a large transaction fit into the queue, so that one can be read while another is applied.
	partsPerQueue = 4
	heartbeat     = 2 * time.Second
	silence       = 30 * time.Second
	// sourcePatience is how long the source waits for a slow reader before it hangs up, in seconds.
	sourcePatience = 3600
)

// errClosed is what the parser's goroutine gets when the stream ends on our side.
var errClosed = errors.New("the stream is closed")

// Config says what to read.
type Config struct {
	Source mysql.Config
	Flavor mysql.Flavor
	// Start is the position to start behind: its GTIDSet, or where that is empty its file and offset.
	Start     mysql.Position
	Selection ddl.Selection
	// QueueBytes and QueueTransactions bound what is read ahead; 0 means 64 MiB and 4096.
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
	// Heard is when the source sent the last event or heartbeat.
	Heard time.Time
}

// Stream is a running download of a binary log.
type Stream struct {
	syncer    *replication.BinlogSyncer
	assembler *assembler
	out       chan *Transaction
	budget    *budget
	ctx       context.Context //nolint:containedctx // the life of the stream, which outlives Open
	cancel    context.CancelCauseFunc
	finished  sync.WaitGroup

	transactions, events, bytes, heard atomic.Int64
	position                           atomic.Pointer[mysql.Position]
}

// Open starts reading. The stream ends with ctx, with Close, or with the first error, which Err returns. It does not connect again
// by itself: whoever opens it knows from where.
func Open(ctx context.Context, cfg Config) (*Stream, error) {
	id, err := serverID()
	if err != nil {
		return nil, err
	}
	if cfg.Source, err = cfg.Source.Settled(ctx); err != nil {
		return nil, err
	}
	if cfg.QueueBytes <= 0 {
		cfg.QueueBytes = defaultQueueBytes
	}
	if cfg.QueueTransactions <= 0 {
		cfg.QueueTransactions = defaultQueueTransactions
	}
	s := &Stream{out: make(chan *Transaction, cfg.QueueTransactions), budget: newBudget(cfg.QueueBytes)}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	s.assembler = newAssembler(cfg.Selection, max(cfg.QueueBytes/partsPerQueue, 1), s.deliver)
	s.assembler.file = cfg.Start.File
	settings, err := s.syncerConfig(cfg, id)
	if err != nil {
		s.cancel(errClosed)
		return nil, err
	}
	if cfg.Metadata {
		s.assembler.shapes = shapes{}
		settings.TableMapOptionalMetaDecodeFunc = nil
	}
	s.syncer = replication.NewBinlogSyncer(settings)
	streamer, err := s.start(cfg)
	if err != nil {
		s.cancel(errClosed)
		s.syncer.Close()
		return nil, fmt.Errorf("read the binary log of %s: %w", cfg.Source.Addr(), explain(err))
	}
	cfg.Logger.Info("reading the binary log", zap.String("source", cfg.Source.Addr()), zap.Stringer("from", cfg.Start), zap.Uint32("server_id", id))
	s.finished.Go(func() { s.watch(streamer) })
	return s, nil
}

func (s *Stream) syncerConfig(cfg Config, id uint32) (replication.BinlogSyncerConfig, error) {
	encryption, err := cfg.Source.TLS()
	return replication.BinlogSyncerConfig{
		ServerID: id, Flavor: cfg.Flavor.Name(),
		Host: cfg.Source.Host, Port: cfg.Source.Port, User: cfg.Source.User, Password: cfg.Source.Password,
		TimestampStringLocation: time.UTC,
		RenderJSONAsMySQLText:   true,
		HeartbeatPeriod:         heartbeat,
		DisableRetrySync:        true, DiscardGTIDSet: true,
		Option:              patient,
		Dialer:              s.dial,
		Logger:              slog.New(slog.DiscardHandler),
		RowsEventDecodeFunc: s.assembler.keep,
		// Of an applier, signs, names and character sets are taken from the target's definition, which every server can tell.
		TableMapOptionalMetaDecodeFunc: func([]byte) error { return nil },
		SynchronousEventHandler:        s,
		EventCacheCount:                1,
		TLSConfig:                      encryption,
	}, err
}

func (s *Stream) start(cfg Config) (*replication.BinlogStreamer, error) {
	if cfg.Start.GTIDSet == "" && cfg.Start.File != "" {
		return s.syncer.StartSync(gomysql.Position{Name: cfg.Start.File, Pos: cfg.Start.Offset})
	}
	set, err := cfg.Flavor.ParseGTIDSet(cfg.Start.GTIDSet)
	if err != nil {
		return nil, err
	}
	return s.syncer.StartSyncGTID(set)
}

// patient keeps the source from hanging up while the target is slower than the source.
func patient(c *client.Conn) error {
	_, err := c.Execute(fmt.Sprintf("SET SESSION net_write_timeout = %d", sourcePatience))
	return err
}

// dial refuses new connections once the stream ends: the syncer would open one only to kill its old one, which ends by itself.
func (s *Stream) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if s.ctx.Err() != nil {
		return nil, errClosed
	}
	socket, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(s.ctx, func() { _ = socket.Close() })
	return listener{socket}, nil
}

// listener is a connection on which something must be heard within the silence that heartbeats allow. The time counts from each
// read, not from the last event: handling that one may have waited for the target.
type listener struct{ net.Conn }

// Read reads with a deadline of its own.
func (l listener) Read(p []byte) (int, error) {
	if err := l.Conn.SetReadDeadline(time.Now().Add(silence)); err != nil {
		return 0, err
	}
	return l.Conn.Read(p)
}

// SetReadDeadline does not fail on a closed socket: the syncer would then close its session while its reader still uses it, instead of
// waiting for the reader to find out.
func (l listener) SetReadDeadline(t time.Time) error {
	_ = l.Conn.SetReadDeadline(t)
	return nil
}

// serverID is one that no other replica of the source has.
func serverID() (uint32, error) {
	var b [4]byte
	if _, err := rand.Read(b[:]); err != nil {
		return 0, fmt.Errorf("choose a server id: %w", err)
	}
	return binary.LittleEndian.Uint32(b[:]) | 1<<31, nil
}

// watch waits for the end and closes the channel then.
func (s *Stream) watch(streamer *replication.BinlogStreamer) {
	_, err := streamer.GetEvent(s.ctx) // events go to HandleEvent; only an error can come
	s.cancel(explain(err))
	s.budget.close()
	s.syncer.Close()
	close(s.out)
}

// HandleEvent is called by the syncer for each event, in the goroutine that reads the network.
func (s *Stream) HandleEvent(e *replication.BinlogEvent) error {
	s.events.Add(1)
	s.bytes.Add(int64(e.Header.EventSize))
	s.heard.Store(time.Now().UnixNano())
	return s.assembler.handle(e)
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
	s.budget.close()
	s.finished.Wait()
}

// Stats returns the counters.
func (s *Stream) Stats() Stats {
	st := Stats{
		Transactions: s.transactions.Load(), Events: s.events.Load(), Bytes: s.bytes.Load(),
		QueueBytes: s.budget.held(), QueueTransactions: int64(len(s.out)),
		Heard: time.Unix(0, s.heard.Load()),
	}
	if p := s.position.Load(); p != nil {
		st.Position = *p
	}
	return st
}

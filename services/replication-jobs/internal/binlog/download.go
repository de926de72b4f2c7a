package binlog

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"
	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

const (
	heartbeat = 2 * time.Second
	silence   = 30 * time.Second
	// sourcePatience is how long the source waits for a slow reader before it hangs up, in seconds.
	sourcePatience = 3600
)

// errClosed is what the reading goroutine gets when the stream ends on our side.
var errClosed = errors.New("the stream is closed")

// Origin says where a binary log comes from.
type Origin struct {
	Source mysql.Config
	Flavor mysql.Flavor
	// Start is the position to start behind: its GTIDSet, or where that is empty its file and offset.
	Start mysql.Position
}

// Download is a running download of a binary log as its bytes.
type Download struct {
	syncer   *replication.BinlogSyncer
	streamer *replication.BinlogStreamer
	take     func(raw []byte) error
	ctx      context.Context //nolint:containedctx // the life of the connection, which outlives StartDownload
	cancel   context.CancelFunc
}

// StartDownload calls take with every event of the log from now on, heartbeats among them, in a goroutine that Wait waits for. The bytes are
// take's own, and without a checksum. The download ends with ctx or with the first error. It does not connect again by itself: whoever starts it knows from where.
func StartDownload(ctx context.Context, from Origin, take func(raw []byte) error, log *zap.Logger) (*Download, error) {
	id, err := serverID()
	if err != nil {
		return nil, err
	}
	if from.Source, err = from.Source.Settled(ctx); err != nil {
		return nil, err
	}
	d := &Download{take: take}
	d.ctx, d.cancel = context.WithCancel(ctx)
	settings, err := d.settings(from, id)
	if err != nil {
		d.cancel()
		return nil, err
	}
	d.syncer = replication.NewBinlogSyncer(settings)
	if d.streamer, err = d.begin(from); err != nil {
		d.close()
		return nil, fmt.Errorf("read the binary log of %s: %w", from.Source.Addr(), explain(err))
	}
	log.Info("reading the binary log", zap.String("source", from.Source.Addr()), zap.Stringer("from", from.Start), zap.Uint32("server_id", id))
	return d, nil
}

func (d *Download) settings(from Origin, id uint32) (replication.BinlogSyncerConfig, error) {
	encryption, err := from.Source.TLS()
	host, port := from.Source.Host, from.Source.Port
	if from.Source.Socket != "" {
		host, port = from.Source.Socket, 0
	}
	return replication.BinlogSyncerConfig{
		ServerID: id, Flavor: from.Flavor.Name(),
		Host: host, Port: port, User: from.Source.User, Password: from.Source.Password,
		RawModeEnabled:   true,
		HeartbeatPeriod:  heartbeat,
		DisableRetrySync: true, DiscardGTIDSet: true,
		Option:                  patient,
		Dialer:                  d.dialer(from.Source),
		Logger:                  slog.New(slog.DiscardHandler),
		SynchronousEventHandler: d,
		EventCacheCount:         1,
		TLSConfig:               encryption,
	}, err
}

func (d *Download) begin(from Origin) (*replication.BinlogStreamer, error) {
	if from.Start.GTIDSet == "" && from.Start.File != "" {
		return d.syncer.StartSync(gomysql.Position{Name: from.Start.File, Pos: from.Start.Offset})
	}
	set, err := from.Flavor.ParseGTIDSet(from.Start.GTIDSet)
	if err != nil {
		return nil, err
	}
	return d.syncer.StartSyncGTID(set)
}

// HandleEvent is called by the syncer for each event, in the goroutine that reads the network.
func (d *Download) HandleEvent(e *replication.BinlogEvent) error { return d.take(e.RawData) }

// Wait returns why the download ended, when nothing of it runs any more; take must return once the context of the download has ended.
func (d *Download) Wait() error {
	_, err := d.streamer.GetEvent(d.ctx) // events go to HandleEvent; only an error can come
	d.close()
	return explain(err)
}

func (d *Download) close() {
	d.cancel()
	d.syncer.Close()
}

// patient keeps the source from hanging up while the target is slower than the source.
func patient(c *client.Conn) error {
	_, err := c.Execute(fmt.Sprintf("SET SESSION net_write_timeout = %d", sourcePatience))
	return err
}

// dialer refuses new connections once the download ends: the syncer would open one only to kill its old one, which ends by itself.
func (d *Download) dialer(source mysql.Config) client.Dialer {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if d.ctx.Err() != nil {
			return nil, errClosed
		}
		socket, err := source.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		context.AfterFunc(d.ctx, func() { _ = socket.Close() })
		return listener{socket}, nil
	}
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

package relay

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/binlog"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// Follow downloads what follows the end of the log until ctx ends or the download does, and returns why it ended; the reader hears that too, once
// it has read all. What lies before a position that applied returns is deleted.
func (l *Log) Follow(ctx context.Context, source mysql.Config, applied func() mysql.Position) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	err := l.download(ctx, cancel, source, applied)
	if cause := context.Cause(ctx); cause != nil {
		err = cause // the download only says that its context has ended
	}
	if flushed := l.flush(); flushed != nil {
		err = flushed
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed == nil {
		l.failed = err
	}
	l.wake()
	return err
}

func (l *Log) download(ctx context.Context, cancel context.CancelCauseFunc, source mysql.Config, applied func() mysql.Position) error {
	from := binlog.Origin{Source: source, Flavor: l.flavor, Start: l.End()}
	take := func(raw []byte) error { return l.take(ctx, raw) }
	d, err := binlog.StartDownload(ctx, from, take, l.opt.Logger)
	if err != nil {
		return err
	}
	kept := make(chan struct{})
	stop := make(chan struct{})
	go func() {
		defer close(kept)
		if err := l.keep(stop, applied); err != nil {
			cancel(err)
		}
	}()
	err = d.Wait()
	close(stop)
	<-kept
	return err
}

// keep has the log on the disk and without what is not needed any more, every second.
func (l *Log) keep(stop <-chan struct{}, applied func() mysql.Position) error {
	ticker := time.NewTicker(syncEvery)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return nil
		case <-ticker.C:
		}
		if err := errors.Join(l.flush(), l.trim(applied()), l.measure()); err != nil {
			return err
		}
	}
}

// take adds an event that was downloaded, as soon as there is room.
func (l *Log) take(ctx context.Context, raw []byte) error {
	switch replication.EventType(raw[4]) {
	case replication.HEARTBEAT_EVENT, replication.HEARTBEAT_LOG_EVENT_V2:
		l.mu.Lock()
		defer l.mu.Unlock()
		l.idle = true
		return nil
	}
	if err := l.awaitRoom(ctx); err != nil {
		return err
	}
	due, err := l.add(raw)
	if err == nil && due {
		err = l.flush()
	}
	return err
}

// add writes an event, and reports whether it is time to have the log on the disk.
func (l *Log) add(raw []byte) (due bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.idle = false
	mark, err := l.bounds.See(raw)
	if err != nil {
		return false, err
	}
	if last := l.last(); mark == binlog.Begins && last.size >= l.fileBytes() {
		if err := l.seal(); err != nil {
			return false, err
		}
		if err := l.extend(last.number + 1); err != nil {
			return false, err
		}
	}
	if err := l.write(raw); err != nil {
		return false, err
	}
	if l.hungry {
		l.hungry = false // it may not be enough, which the reader then says
		l.wake()
	}
	return l.unsynced >= syncBytes, nil
}

func (l *Log) fileBytes() int64 { return max(minFile, min(maxFile, l.opt.MaxBytes/filesPerLog)) }

// flush has all that was added on the disk.
func (l *Log) flush() error {
	l.mu.Lock()
	if l.out == nil || l.unsynced == 0 {
		l.mu.Unlock()
		return nil
	}
	err := l.buffer.Flush()
	out := l.out
	l.unsynced = 0
	l.mu.Unlock()
	if err == nil {
		err = out.Sync() // takes long: the reader need not wait for it
	}
	if errors.Is(err, os.ErrClosed) { // the file was sealed meanwhile
		return nil
	}
	return l.opt.Store.failedWrite(err)
}

// trim deletes the files that lie before a position as a whole.
func (l *Log) trim(applied mysql.Position) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if applied.IsZero() {
		return nil
	}
	at, err := mysql.ParsePoint(l.flavor, applied)
	if err != nil {
		return err
	}
	n := 0
	for n < len(l.segments)-1 && at.Covers(l.segments[n+1].point) {
		n++
	}
	if n == 0 {
		return nil
	}
	err = l.remove(l.segments[:n])
	l.segments = l.segments[n:]
	l.wake()
	return err
}

// measure looks how much room the node has.
func (l *Log) measure() error {
	why, err := l.opt.Store.tight()
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tight = why; l.waits != "" {
		l.wake()
	}
	return nil
}

// awaitRoom waits until the log may grow. What the reader waits for it always may: a transaction that is larger than the limit would else never end.
func (l *Log) awaitRoom(ctx context.Context) error {
	for {
		news, said := l.room()
		if said != "" {
			l.opt.Event("relay", said)
		}
		if news == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-news:
		}
	}
}

// room returns nil if the log may grow, else where to wait, and what there is to say.
func (l *Log) room() (news <-chan struct{}, said string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	why := l.tight
	if used := l.bytes(); used >= l.opt.MaxBytes {
		why = fmt.Sprintf("it takes %d MiB of the %d MiB that binlog_relay_max_mib allows", used>>20, l.opt.MaxBytes>>20)
	}
	if why == "" {
		if l.waits != "" {
			said = "the relay log has room again"
		}
		l.waits = ""
		return nil, said
	}
	if l.hungry {
		return nil, ""
	}
	if l.waits == "" {
		said = "the relay log is full, and the source has to wait until the target has caught up: " + why
	}
	l.waits = why
	return l.news, said
}

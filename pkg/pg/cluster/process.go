package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	logName  = "postgres.log"
	tailSize = 2 << 10
	killWait = 5 * time.Second

	fast      = syscall.SIGINT  // postgres: end the sessions, write a checkpoint
	immediate = syscall.SIGQUIT // postgres: end at once, recover at the next start
)

// account is the user that the server runs as.
type account struct {
	name     string
	uid, gid uint32
	self     bool // the one we are
}

// unprivileged is ourselves, or user postgres (nobody when there is none) when we are root, whom postgres refuses.
func unprivileged() (account, error) {
	if os.Geteuid() != 0 {
		return account{self: true}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			return account{}, fmt.Errorf("user %s: %w", name, err)
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			return account{}, fmt.Errorf("user %s: %w", name, err)
		}
		return account{name: name, uid: uint32(uid), gid: uint32(gid)}, nil
	}
	return account{}, errors.New("we are root, and there is no user postgres or nobody to run it as")
}

// attributes make a child that gets a signal when we die, and none from our terminal.
func (a account) attributes(onDeath syscall.Signal) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Pdeathsig: onDeath, Setpgid: true}
	if !a.self {
		attr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
	}
	return attr
}

// process is a running server and how it ended.
type process struct {
	pid      int
	done     chan struct{}
	err      error // set before done is closed
	stopping atomic.Bool
}

// launch starts the server on a thread of its own: Linux sends the death signal when the thread that started a
// child ends, not when the process does.
func launch(l layout, bin binaries, args []string) (*process, error) {
	log, err := os.OpenFile(l.log(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(bin.path("postgres"), args...) //nolint:gosec,noctx // ends by stop, not with a context
	cmd.Dir, cmd.Env = l.dir, environment()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = l.who.attributes(fast)

	p := &process{done: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		if err == nil {
			p.pid = cmd.Process.Pid
		}
		started <- err
		if err == nil {
			p.err = cmd.Wait()
		}
		p.err = errors.Join(p.err, log.Close())
		close(p.done)
	}()
	return p, <-started
}

func (p *process) stop(ctx context.Context) error {
	p.stopping.Store(true)
	if p.signal(fast) && !ended(ctx, p.done) {
		p.signal(immediate)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), killWait)
		defer cancel()
		if !ended(ctx, p.done) {
			p.signal(syscall.SIGKILL)
			<-p.done
		}
		return errors.New("PostgreSQL did not end in time and was stopped at once; the next start recovers")
	}
	return nil
}

// signal reports whether the server was still there to be signalled.
func (p *process) signal(s syscall.Signal) bool {
	select {
	case <-p.done:
		return false
	default:
		return syscall.Kill(p.pid, s) == nil
	}
}

func (p *process) failure(dir string) error {
	if p.stopping.Load() {
		return nil
	}
	return fmt.Errorf("PostgreSQL ended by itself: %w%s", cmp.Or(p.err, errors.New("exit status 0")), logTail(dir))
}

func ended(ctx context.Context, done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	}
}

// logTail is the end of the server's log, for an error's text.
func logTail(dir string) string {
	path := filepath.Join(dir, logName)
	f, err := os.Open(path) //nolint:gosec // our own log
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }() // opened for reading
	if info, err := f.Stat(); err == nil && info.Size() > tailSize {
		if _, err := f.Seek(-tailSize, io.SeekEnd); err != nil {
			return ""
		}
	}
	text, err := io.ReadAll(io.LimitReader(f, tailSize))
	if err != nil {
		return ""
	}
	return fmt.Sprintf("\nthe end of %s:\n%s", path, text)
}

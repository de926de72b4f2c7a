package dnstest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

const stopTimeout = 30 * time.Second

// process is a server that can be started again with the same arguments.
type process struct {
	name    string // of the binary
	dir     string
	args    []string
	account *syscall.Credential // nil: the current user's
	exited  chan struct{}
	running *os.Process
	begin   int64 // size of the log when the server was started last
}

// start starts the server and returns when ready says so. The server dies with this process.
func (p *process) start(ctx context.Context, ready func(context.Context) error) error {
	log, err := os.OpenFile(p.log(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := log.Stat()
	if err != nil {
		return errors.Join(err, log.Close())
	}
	p.begin = info.Size()
	cmd := exec.Command(binary(p.name), p.args...) //nolint:gosec,noctx // the server outlives ctx, which bounds only its start
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.account, Pdeathsig: syscall.SIGKILL, Setpgid: true}
	p.exited = make(chan struct{})
	started := make(chan error)
	go func(exited chan struct{}) {
		runtime.LockOSThread() // the death signal is sent when the thread that started a child ends
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		p.running = cmd.Process
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in its log
		}
		_ = log.Close() // the server wrote to its own copy
		close(exited)
	}(p.exited)
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	return p.await(ctx, ready)
}

// await asks until the server is ready, has ended, or ctx ends.
func (p *process) await(ctx context.Context, ready func(context.Context) error) error {
	for {
		attempt, cancel := context.WithTimeout(ctx, time.Second)
		err := ready(attempt)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-p.exited:
			return fmt.Errorf("%s did not start; the end of its log:\n%s", p.name, p.logTail())
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err, p.kill())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (p *process) stop() error { return p.end(syscall.SIGTERM) }

func (p *process) kill() error { return p.end(syscall.SIGKILL) }

func (p *process) end(signal syscall.Signal) error {
	if err := p.running.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("end %s: %w", p.name, err)
	}
	select {
	case <-p.exited:
		return nil
	case <-time.After(stopTimeout):
	}
	_ = p.running.Kill() // gone already is fine
	<-p.exited
	return fmt.Errorf("%s had to be killed: it did not stop within %s", p.name, stopTimeout)
}

func (p *process) log() string { return filepath.Join(p.dir, p.name+".log") }

// logged is what the server has said since it was started.
func (p *process) logged() string {
	log, err := os.ReadFile(p.log())
	if err != nil {
		return err.Error()
	}
	return string(log[min(p.begin, int64(len(log))):])
}

func (p *process) logTail() string {
	const most = 2000
	log := p.logged()
	return log[max(0, len(log)-most):]
}

// binary returns the path of a program, "" if there is none; Debian keeps servers outside a user's PATH.
func binary(name string) string {
	for _, candidate := range []string{name, "/usr/sbin/" + name} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	return ""
}

// prepare makes a directory and hands it, with all in it, to the user the server is to run as when we are root.
func (p *process) prepare(username string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	account, err := user.Lookup(username)
	if err != nil {
		return fmt.Errorf("find the user to run %s as: %w", p.name, err)
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return fmt.Errorf("user %s: %w", username, err)
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return fmt.Errorf("user %s: %w", username, err)
	}
	p.account = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	root, err := os.OpenRoot(p.dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }() // only closes the handle
	return fs.WalkDir(root.FS(), ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return root.Lchown(path, int(uid), int(gid))
	})
}

// The ports to choose from lie below those that systems give to outgoing connections, which would take a free one away.
const (
	lowestPort = 12000
	ports      = 20000
	portTries  = 100
)

// freePort returns a port of 127.0.0.1 that is free for TCP and UDP.
func freePort() (int, error) {
	var failed error
	for range portTries {
		port := lowestPort + rand.IntN(ports) //nolint:gosec // any will do
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		stream, err := net.Listen("tcp", addr) //nolint:noctx // no name to look up, nothing to wait for
		if err != nil {
			failed = err
			continue
		}
		packet, err := net.ListenPacket("udp", addr) //nolint:noctx // no name to look up, nothing to wait for
		if err != nil {
			failed = errors.Join(err, stream.Close())
			continue
		}
		return port, errors.Join(stream.Close(), packet.Close())
	}
	return 0, fmt.Errorf("find a free port: %w", failed)
}

func freePorts(n int) ([]int, error) {
	all := make([]int, n)
	for i := range all {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		all[i] = port
	}
	return all, nil
}

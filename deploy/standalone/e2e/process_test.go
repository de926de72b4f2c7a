package e2e

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// process is a child process whose output is shown when its test fails. It dies with this process in any case.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{}
	err    error // how it ended, once exited is closed
	output *output
}

// launch starts a program in a process group of its own.
func launch(t testing.TB, out *output, program string, env []string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(program, args...), exited: make(chan struct{}), output: out} // ends by signals only
	p.cmd.Env = append(hermetic(), env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	require.NoError(t, p.cmd.Start())
	go func() {
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	return p
}

// hermetic is this process's environment without the developer's settings of opsdeck.
func hermetic() []string {
	var env []string
	for _, setting := range os.Environ() {
		if !strings.HasPrefix(setting, "OPSDECK_") {
			env = append(env, setting)
		}
	}
	return env
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// kill9 ends the process as a crash would.
func (p *process) kill9(t testing.TB) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Kill())
	<-p.exited
}

// terminate asks the process to stop and returns how it did.
func (p *process) terminate(t testing.TB, patience time.Duration) error {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-p.exited:
		return p.err
	case <-time.After(patience):
	}
	p.kill9(t)
	require.FailNow(t, "the process did not stop", "within %v of SIGTERM", patience)
	return nil
}

func (p *process) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// end kills what is left of the process. It is for clean-up.
func (p *process) end() error {
	if !p.running() {
		return nil
	}
	err := p.cmd.Process.Kill()
	<-p.exited
	return err
}

// output keeps the newest part of what a process writes.
type output struct {
	mu   sync.Mutex
	text []byte
}

const keptOutput = 8 << 20

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, p...)
	if len(o.text) > 2*keptOutput {
		o.text = bytes.Clone(o.text[len(o.text)-keptOutput:])
	}
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text)
}

// showOnFailure prints the newest lines of a process's output when the test has failed, without those of calls that went well.
func (o *output) showOnFailure(t testing.TB, name string) {
	t.Helper()
	if !t.Failed() {
		return
	}
	const most = 60
	var lines []string
	for line := range strings.Lines(o.String()) {
		routine := strings.Contains(line, `"level":"info"`) && (strings.Contains(line, `"msg":"request"`) || strings.Contains(line, `"msg":"call"`))
		if !routine && !strings.Contains(line, `"path":"/readyz"`) {
			lines = append(lines, line)
		}
	}
	lines = lines[max(0, len(lines)-most):]
	_, _ = io.WriteString(os.Stderr, "--- output of "+name+" in "+t.Name()+"\n"+strings.Join(lines, "")+"---\n")
}

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// shell is an operator's, with opsdeck among its programs.
type shell struct {
	dir string
	env []string
}

func newShell(t testing.TB) *shell {
	t.Helper()
	dir := scratch(t)
	return &shell{dir: dir, env: append(hermetic(),
		"XDG_CONFIG_HOME="+filepath.Join(dir, "config"), "PATH="+filepath.Dir(opsdeckProgram)+":"+os.Getenv("PATH"))}
}

// run runs a script with an input and returns what it prints, apart and together, and its exit code.
func (s *shell) run(t testing.TB, input, script string, env ...string) (out, all string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	command := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", script)
	command.Dir, command.Env, command.Stdin = s.dir, slices.Concat(s.env, env), strings.NewReader(input)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) } // bash and what it has started
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		require.NoError(t, err)
	}
	return stdout.String(), stdout.String() + stderr.String(), command.ProcessState.ExitCode()
}

// wants runs a script that must end with a code, and returns what it prints.
func (s *shell) wants(t testing.TB, code int, script string, env ...string) string {
	t.Helper()
	out, all, got := s.run(t, "", script, env...)
	require.Equal(t, code, got, "%s\n%s", script, all)
	if code != 0 {
		return all
	}
	return out
}

// readme returns the blocks of a README that a test runs, without their comments.
func readme(t testing.TB, name string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../..", name))
	require.NoError(t, err)
	var blocks []string
	for _, block := range regexp.MustCompile("(?s)```bash\n# run: first-job\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		blocks = append(blocks, regexp.MustCompile(` +#.*`).ReplaceAllString(block[1], ""))
	}
	return blocks
}

// An operator does the README's first job at a terminal, and some things besides.
func TestFirstJobAtATerminal(t *testing.T) {
	t.Parallel()
	o, p, schema, s := sharedOpsdeck(t), sharedPair(t), newSchema(), newShell(t)
	blocks := readme(t, "README.md")
	require.Len(t, blocks, 2)
	require.Equal(t, blocks, readme(t, "README.zh-CN.md"), "both languages have the same commands")
	p.source.load(t, schema, 2000)
	for side, d := range map[string]*database{"SOURCE": p.source, "TARGET": p.target} {
		s.env = append(s.env, side+"_HOST=127.0.0.1", fmt.Sprintf("%s_PORT=%d", side, d.Port()), side+"_USER="+d.User(), side+"_PASSWORD="+d.Password())
	}
	s.env = append(s.env, "SCHEMA="+schema)

	require.Contains(t, s.wants(t, 4, "opsdeck job list"), "you are not signed in: opsdeck login")
	_, all, code := s.run(t, o.password+"\n", "opsdeck login --server http://"+o.address+" --user platform:admin --password-stdin")
	require.Zero(t, code, all)
	require.Contains(t, all, "signed in to http://"+o.address+" as platform:admin")
	t.Cleanup(func() { o.showOnFailure(t, "first-migration") })
	out := s.wants(t, 0, blocks[0])
	require.Contains(t, out, "created first-migration")
	require.Regexp(t, `(?m)^first-migration  \w+`, out)

	t.Run("questions", func(t *testing.T) { s.asksAboutFirst(t) })
	t.Run("differences", func(t *testing.T) {
		s.wants(t, 0, "opsdeck job watch first --until level --interval 200ms")
		p.target.exec(t, "DELETE FROM "+schema+".big WHERE id = 17")
		require.Regexp(t, schema+`\.big +id=17 +missing +no\n`, s.wants(t, 1, "opsdeck job verify first"))
		repaired := s.wants(t, 0, "opsdeck job verify first --repair -o json")
		require.Contains(t, repaired, `"differences_repaired": 1`)
		require.Contains(t, s.wants(t, 0, "opsdeck job verify first --last"), "1 differences, 1 repaired")
	})
	t.Run("refusals", func(t *testing.T) {
		require.Contains(t, s.wants(t, 3, "opsdeck job create -f first.yaml"), "first-migration")
		require.Contains(t, s.wants(t, 3, "opsdeck job pause first nowhere-migration"), "nowhere-migration")
		s.wants(t, 0, "opsdeck job resume first")
		require.Contains(t, s.wants(t, 1, "sed 's/mysql_password: \"[^\"]*\"/mysql_password: wrong/' first.yaml | opsdeck job create -f - --dry-run"), "would not run")
		require.Contains(t, s.wants(t, 2, "opsdeck job delete first"), "use --yes")
		require.Contains(t, s.wants(t, 2, "opsdeck job list --status gone"), "want one of pending")
		require.Contains(t, s.wants(t, 5, "opsdeck job list", "OPSDECK_SERVER=http://127.0.0.1:1", "OPSDECK_TOKEN=t"), "cannot be reached")
		require.Contains(t, s.wants(t, 4, "opsdeck job list", "OPSDECK_SERVER=http://127.0.0.1:1"), "you are not signed in to http://127.0.0.1:1")
		require.Contains(t, s.wants(t, 4, "opsdeck job list", "OPSDECK_SERVER=http://"+o.address, "OPSDECK_TOKEN=wrong"), "opsdeck job list: ")
	})
	s.wants(t, 0, blocks[1])
	require.Contains(t, s.wants(t, 3, "opsdeck job show first"), "there is no job first")
	s.wants(t, 0, "opsdeck logout")
	s.wants(t, 4, "opsdeck job list")
}

// asksAboutFirst looks at the job first in all ways.
func (s *shell) asksAboutFirst(t *testing.T) {
	var listed struct {
		Jobs []struct {
			ID string `json:"job_id"`
		} `json:"jobs"`
	}
	require.NoError(t, json.Unmarshal([]byte(s.wants(t, 0, "opsdeck job list --name first-m -o json")), &listed))
	require.Len(t, listed.Jobs, 1)
	require.Equal(t, "first-migration", listed.Jobs[0].ID)
	require.Regexp(t, `(?m)^NAME +STATUS.*\nfirst-migration +\w+ +follow, `, s.wants(t, 0, "opsdeck job list --name first-m --type migration --order created"))
	require.Regexp(t, `(?s)Job: +first-migration.*Source: +127\.0\.0\.1:.*TIME +SIDE +EVENT +MESSAGE.*Driver`, s.wants(t, 0, "opsdeck job show first --events 100"))
	require.Contains(t, s.wants(t, 0, "opsdeck job show first -o json"), `"basic_task_profile": {`)
	require.Contains(t, s.wants(t, 0, "opsdeck __complete job show fir"), "first-migration\n")
	require.Contains(t, s.wants(t, 0, "opsdeck completion bash; opsdeck completion zsh; opsdeck completion fish"), "complete")

	// The access token is over: the next command gets another one.
	path := filepath.Join(s.dir, "config/opsdeck/session.json")
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var kept map[string]any
	require.NoError(t, json.Unmarshal(text, &kept))
	kept["access_token"], kept["access_token_end"] = "over", time.Unix(0, 0)
	text, err = json.Marshal(kept)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, text, 0o600))
	s.wants(t, 0, "opsdeck job list > /dev/null & opsdeck job list > /dev/null; wait $!")
	text, err = os.ReadFile(path)
	require.NoError(t, err)
	require.NotContains(t, string(text), `"over"`)
}

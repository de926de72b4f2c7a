package apitest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// Story is cases in an order: each finds what those before it left. It is what documented examples need, which are about things
// that other examples have made.
type Story struct {
	Name   string
	Scheme string // put before the token of a caller, for instance "Token"; "" for the bare token
	steps  []step
}

// step is a case that is not yet read, for want of the values that steps before it keep.
type step struct {
	name string
	text string // YAML, with ${name} in the place of such values
}

// Step is a case of a story.
type Step struct {
	Case `yaml:",inline"`
	// Contract is the id of the documented call that the step is about.
	Contract string `yaml:"contract"`
	// Keep names values of the answer for the steps after it, each by its path: "results.0.id".
	Keep map[string]string `yaml:"keep"`
}

// variable is a name that a story gives to a value.
var variable = regexp.MustCompile(`\$\{([a-z_0-9]+)\}`)

// placeholder is a variable while YAML is read: unlike ${name}, it is plain text everywhere.
const placeholder = "⟪$1⟫"

var placed = regexp.MustCompile(`⟪([a-z_0-9]+)⟫`)

// LoadStory reads a story from a YAML file: a mapping of story, scheme and steps.
func LoadStory(t testing.TB, files fs.FS, name string) Story {
	t.Helper()
	text, err := fs.ReadFile(files, name)
	require.NoError(t, err)
	story, err := ParseStory(text)
	require.NoError(t, err, name)
	return story
}

// ParseStory reads a story. Its steps are checked when they are played.
func ParseStory(text []byte) (Story, error) {
	var file struct {
		Story  string      `yaml:"story"`
		Scheme string      `yaml:"scheme"`
		Steps  []yaml.Node `yaml:"steps"`
	}
	decoder := yaml.NewDecoder(bytes.NewReader(variable.ReplaceAll(text, []byte(placeholder))))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil {
		return Story{}, err
	}
	if file.Story == "" || len(file.Steps) == 0 {
		return Story{}, errors.New("a story needs a name under story, and steps")
	}
	story := Story{Name: file.Story, Scheme: file.Scheme}
	for i, node := range file.Steps {
		text, err := yaml.Marshal(&node)
		if err != nil {
			return Story{}, err
		}
		story.steps = append(story.steps, step{name: strconv.Itoa(i + 1), text: placed.ReplaceAllString(string(text), "${$1}")})
	}
	return story, nil
}

// read returns a step with the values of variables in it.
func (s step) read(values map[string]string) (Step, error) {
	text := s.text
	for name, value := range values {
		text = strings.ReplaceAll(text, "${"+name+"}", value)
	}
	if unknown := variable.FindString(text); unknown != "" {
		return Step{}, fmt.Errorf("step %s: there is no variable %s", s.name, unknown)
	}
	decoder := yaml.NewDecoder(strings.NewReader(text))
	decoder.KnownFields(true)
	var read Step
	if err := decoder.Decode(&read); err != nil {
		return Step{}, fmt.Errorf("step %s: %w", s.name, err)
	}
	if read.Name == "" {
		read.Name = read.Contract
	}
	if err := read.check(); err != nil {
		return Step{}, fmt.Errorf("step %s, %q: %w", s.name, read.Name, err)
	}
	if read.HTTP == nil && len(read.Keep) > 0 {
		return Step{}, fmt.Errorf("step %s, %q: only HTTP answers are kept", s.name, read.Name)
	}
	return read, nil
}

// Play runs the steps of a story one after the other, each over the transports it names, and returns the ids of the documented
// calls that it played. The first step that fails ends it.
func (r Runner) Play(t *testing.T, story Story, values map[string]string) (contracts []string) {
	t.Helper()
	values = maps.Clone(values)
	if values == nil {
		values = map[string]string{}
	}
	r.Scheme = story.Scheme
	for _, s := range story.steps {
		step, err := s.read(values)
		require.NoError(t, err, story.Name)
		ok := t.Run(step.Name, func(t *testing.T) { r.step(t, step, values) })
		if !ok {
			require.FailNow(t, "the story ends here", "%s, step %s", story.Name, s.name)
		}
		if step.Contract != "" {
			contracts = append(contracts, step.Contract)
		}
	}
	return contracts
}

func (r Runner) step(t *testing.T, step Step, values map[string]string) {
	t.Helper()
	if step.HTTP != nil {
		answer := r.Do(t, step.As, *step.HTTP)
		if r.Check != nil {
			r.Check(t, answer)
		}
		require.Empty(t, step.HTTP.Want.Problems(answer), "%s %s: %d %s", step.HTTP.Method, step.HTTP.Path, answer.Status, answer.Body)
		require.NoError(t, keep(values, step.Keep, answer))
	}
	if step.GRPC != nil {
		answer, err := r.Invoke(t, step.As, *step.GRPC)
		require.Empty(t, step.GRPC.Problems(answer, err), "%v", err)
	}
}

// keep adds values of an answer.
func keep(values, paths map[string]string, answer Answer) error {
	if len(paths) == 0 {
		return nil
	}
	var body any
	decoder := json.NewDecoder(bytes.NewReader(answer.Body))
	decoder.UseNumber()
	if err := decoder.Decode(&body); err != nil {
		return fmt.Errorf("nothing to keep: %w", err)
	}
	for name, path := range paths {
		value, err := at(body, path)
		if err != nil {
			return fmt.Errorf("keep %s: %w", name, err)
		}
		values[name] = value
	}
	return nil
}

// at returns the text of the value at a path of member names and indices.
func at(body any, path string) (string, error) {
	for _, part := range strings.Split(path, ".") {
		switch inside := body.(type) {
		case map[string]any:
			member, ok := inside[part]
			if !ok {
				return "", fmt.Errorf("%s: there is no %s", path, part)
			}
			body = member
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i < 0 || i >= len(inside) {
				return "", fmt.Errorf("%s: there is no element %s of %d", path, part, len(inside))
			}
			body = inside[i]
		default:
			return "", fmt.Errorf("%s: nothing is inside of what is before %s", path, part)
		}
	}
	switch value := body.(type) {
	case string:
		return value, nil
	case json.Number, bool:
		return fmt.Sprint(value), nil
	}
	return "", fmt.Errorf("%s: is neither text nor a number nor a boolean", path)
}

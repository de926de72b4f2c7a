package jobs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"
)

// maxFile bounds what is read of a file, in bytes: what a gateway of default settings takes as a body.
const maxFile = 1 << 20

// Config is a job as its owner wrote it down: the documented object, or the later shape of dtle 4.
type Config struct {
	Type string // as the file says, "" if it does not
	JSON json.RawMessage
}

// wrappers are the names under which a job may stand alone in a file, as in the documents.
var wrappers = map[string]string{"migration_job_config": Migration, "sync_job_config": Sync, "subscription_job_config": Subscription}

// ReadConfig reads a job from JSON or YAML. It is a subscription if it has a Kafka topic, and of the type of its wrapper if it has one.
func ReadConfig(in io.Reader) (Config, error) {
	text, err := ReadObject(in)
	if err != nil {
		return Config{}, err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return Config{}, err
	}
	for wrapper, t := range wrappers {
		if inner, ok := members[wrapper]; ok && len(members) == 1 {
			return Config{t, inner}, nil
		}
	}
	var job struct {
		Dest struct {
			Topic string `json:"kafka_topic"`
		} `json:"dest_task"`
	}
	if json.Unmarshal(text, &job) == nil && job.Dest.Topic != "" { // what else is wrong with it is the server's to say
		return Config{Subscription, text}, nil
	}
	return Config{"", text}, nil
}

// ReadObject reads one object from JSON or YAML and returns it as JSON.
func ReadObject(in io.Reader) (json.RawMessage, error) {
	text, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("it is larger than %d MiB", maxFile>>20)
	}
	if !json.Valid(text) {
		if text, err = fromYAML(text); err != nil {
			return nil, err
		}
	}
	if trimmed := bytes.TrimSpace(text); len(trimmed) == 0 || trimmed[0] != '{' {
		return nil, errors.New("it is no object: want members like job_id, src_task and dest_task")
	}
	return text, nil
}

func fromYAML(text []byte) ([]byte, error) {
	var document yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return nil, errors.New("it is empty")
	} else if err != nil {
		return nil, fmt.Errorf("it is neither JSON nor YAML: %w", err)
	}
	if err := decoder.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return nil, errors.New("it holds several documents: want one")
	}
	keepDates(&document)
	var value any
	if err := document.Decode(&value); err != nil {
		return nil, fmt.Errorf("it is no YAML that can be read: %w", err)
	}
	out, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("it has members whose names are no texts: %w", err)
	}
	return out, nil
}

// keepDates makes texts of what YAML takes for dates: a name or a password may look like one.
func keepDates(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!timestamp" {
		n.Tag = "!!str"
	}
	for _, inner := range n.Content {
		keepDates(inner)
	}
}

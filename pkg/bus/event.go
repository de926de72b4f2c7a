package bus

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

const (
	typePrefix = "opsdeck."
	// maxEvent keeps an event well below the 1 MiB that a NATS server takes by default.
	maxEvent = 512 << 10
)

// Event is a change that others may want to know of.
type Event struct {
	Type    string        // opsdeck.<service>.<noun>.<verb>, and the NATS subject it is published on
	Subject string        // what changed, for example the id of a job
	Tenant  string        // whose it is, empty when it is nobody's
	Data    proto.Message // the payload
}

// Envelope is an Event as it is published: CloudEvents 1.0 in JSON.
type Envelope struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`
	Source          string          `json:"source"`
	Type            string          `json:"type"`
	Subject         string          `json:"subject,omitempty"`
	Time            time.Time       `json:"time"`
	DataContentType string          `json:"datacontenttype"`
	Tenant          string          `json:"tenant,omitempty"`
	Data            json.RawMessage `json:"data"`
}

// envelope gives the event its id, its time and the service as its source.
func (e Event) envelope(now time.Time) (Envelope, error) {
	service, err := serviceOf(e.Type)
	if err != nil {
		return Envelope{}, err
	}
	data, err := protojson.Marshal(e.Data)
	if err != nil {
		return Envelope{}, fmt.Errorf("event %s: %w", e.Type, err)
	}
	if len(data) > maxEvent {
		return Envelope{}, fmt.Errorf("event %s: its data is %d bytes long, more than %d", e.Type, len(data), maxEvent)
	}
	return Envelope{
		SpecVersion:     "1.0",
		ID:              rand.Text(),
		Source:          "/opsdeck/" + service,
		Type:            e.Type,
		Subject:         e.Subject,
		Time:            now.UTC(),
		DataContentType: "application/json",
		Tenant:          e.Tenant,
		Data:            data,
	}, nil
}

// serviceOf checks an event type, whose four parts become a NATS subject, and returns its service.
func serviceOf(eventType string) (string, error) {
	parts := strings.Split(eventType, ".")
	ok := len(parts) == 4 && strings.HasPrefix(eventType, typePrefix)
	for _, part := range parts {
		ok = ok && part != "" && strings.Trim(part, "abcdefghijklmnopqrstuvwxyz0123456789_-") == ""
	}
	if !ok {
		return "", fmt.Errorf("event type %q: want opsdeck.<service>.<noun>.<verb> in lower case", eventType)
	}
	return parts[1], nil
}

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// comments are the comments of the .proto files.
type comments struct {
	Tags        []tag                           `json:"tags"`
	Definitions map[string]definition           `json:"definitions"`
	Paths       map[string]map[string]operation `json:"paths"`
}

type tag struct {
	Name        string `json:"name"`
	Description string `json:"description"`
}

type definition struct {
	text
	Properties map[string]text `json:"properties"`
}

// text is a comment as the Swagger plugin cuts it: the first paragraph is a title when it does not end with a full stop.
type text struct {
	Title       string `json:"title"`
	Description string `json:"description"`
}

func (t text) String() string {
	return strings.TrimSpace(strings.ReplaceAll(t.Title+"\n\n"+t.Description, "\r", ""))
}

type operation struct {
	ID          string      `json:"operationId"`
	Summary     string      `json:"summary"`
	Description string      `json:"description"`
	Tags        []string    `json:"tags"`
	Parameters  []parameter `json:"parameters"`
}

type parameter struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Schema      struct {
		Ref string `json:"$ref"`
	} `json:"schema"`
}

func readComments(path string) (*comments, error) {
	data, err := os.ReadFile(path) //nolint:gosec // whoever runs the generator names the file
	if err != nil {
		return nil, fmt.Errorf("read the comments: %w", err)
	}
	var c comments
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, fmt.Errorf("read the comments of %s: %w", path, err)
	}
	return &c, nil
}

// operation returns what is said about a route.
func (c *comments) operation(method, pattern string) operation {
	return c.Paths[pattern][strings.ToLower(method)]
}

// message returns the comment of a message.
func (c *comments) message(d protoreflect.MessageDescriptor) string {
	return c.Definitions[string(d.FullName())].String()
}

// field returns the comment of a field: from its message, or, for a message that is only ever a request, from the call.
func (c *comments) field(field protoreflect.FieldDescriptor, op operation) string {
	name := string(field.Name())
	if found, ok := c.Definitions[string(field.Parent().FullName())].Properties[name]; ok {
		return found.String()
	}
	for _, p := range op.Parameters {
		if p.Name == name {
			return p.Description
		}
		body := strings.TrimPrefix(p.Schema.Ref, "#/definitions/")
		if found, ok := c.Definitions[body].Properties[name]; ok {
			return found.String()
		}
	}
	return ""
}

// Package apitest runs API cases that are data: a request, who sends it, and what the answer must be, over HTTP and over gRPC.
package apitest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// Case is one request and what must come of it. At least one of HTTP and GRPC is given; both are to have the same effect.
type Case struct {
	Name string `yaml:"name"`
	As   string `yaml:"as"` // a caller of the runner; "nobody" sends no token
	HTTP *HTTP  `yaml:"http"`
	GRPC *GRPC  `yaml:"grpc"`
}

// Nobody is the caller without a token.
const Nobody = "nobody"

// HTTP is a request and the wanted answer. At most one of JSON, Form and Raw is the body.
type HTTP struct {
	Method string            `yaml:"method"`
	Path   string            `yaml:"path"` // may carry a query of its own
	Query  map[string]string `yaml:"query"`
	Header map[string]string `yaml:"header"`
	JSON   any               `yaml:"json"`
	Form   map[string]string `yaml:"form"`
	Raw    *string           `yaml:"raw"`
	Want   HTTPAnswer        `yaml:"want"`
}

// HTTPAnswer is what an HTTP answer must be; what is left out may be anything.
type HTTPAnswer struct {
	Status  []int    `yaml:"status"`  // one of these
	Shape   any      `yaml:"shape"`   // as SameShape compares
	Body    any      `yaml:"body"`    // as SameValue compares
	Message []string `yaml:"message"` // texts that the member message contains, all of them
}

// GRPC is a call by its full name, package.Service/Method, with its request as protobuf JSON, and the wanted answer.
type GRPC struct {
	Method  string `yaml:"method"`
	Request any    `yaml:"request"`
	Code    string `yaml:"code"`    // name of the wanted code, as in NotFound
	Reason  string `yaml:"reason"`  // wanted reason of the ErrorInfo
	Message string `yaml:"message"` // text that the message of the status contains
	Shape   any    `yaml:"shape"`   // of the answer as protobuf JSON
}

// Load reads the cases of the YAML files that match pattern. Each ${name} in them is replaced by vars first.
func Load(t testing.TB, files fs.FS, pattern string, vars map[string]string) []Case {
	t.Helper()
	names, err := fs.Glob(files, pattern)
	require.NoError(t, err)
	require.NotEmpty(t, names, "no file matches %s", pattern)
	var all []Case
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		require.NoError(t, err)
		cases, err := Parse(text, vars)
		require.NoError(t, err, name)
		all = append(all, cases...)
	}
	return all
}

// Parse reads the cases of one YAML file. It refuses unknown keys, unknown variables and cases that could not fail.
func Parse(text []byte, vars map[string]string) ([]Case, error) {
	for name, value := range vars {
		text = bytes.ReplaceAll(text, []byte("${"+name+"}"), []byte(value))
	}
	if _, rest, ok := bytes.Cut(text, []byte("${")); ok {
		name, _, _ := bytes.Cut(rest, []byte("}"))
		return nil, fmt.Errorf("there is no variable ${%.40s}", name)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	var cases []Case
	if err := decoder.Decode(&cases); err != nil {
		return nil, err
	}
	for _, c := range cases {
		if err := c.check(); err != nil {
			return nil, fmt.Errorf("case %q: %w", c.Name, err)
		}
	}
	return cases, nil
}

func (c Case) check() error {
	switch {
	case c.Name == "" || strings.Contains(c.Name, "/"):
		return errors.New("needs a name without slashes")
	case c.As == "":
		return errors.New("needs a caller under as")
	case c.HTTP == nil && c.GRPC == nil:
		return errors.New("needs http or grpc")
	case c.HTTP != nil && (c.HTTP.Method == "" || c.HTTP.Path == ""):
		return errors.New("http needs method and path")
	case c.HTTP != nil && len(c.HTTP.Want.Status) == 0:
		return errors.New("http needs want.status")
	case c.GRPC != nil && (!strings.Contains(c.GRPC.Method, "/") || c.GRPC.Code == ""):
		return errors.New("grpc needs method (package.Service/Method) and code")
	}
	if c.HTTP == nil {
		return nil
	}
	bodies := 0
	for _, given := range []bool{c.HTTP.JSON != nil, c.HTTP.Form != nil, c.HTTP.Raw != nil} {
		if given {
			bodies++
		}
	}
	if bodies > 1 {
		return errors.New("http has more than one of json, form and raw")
	}
	return nil
}

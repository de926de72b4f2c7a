package dnstest

import (
	_ "embed"
	"strings"
	"text/template"
)

//go:embed named.conf.tmpl
var namedText string

//go:embed pdns.conf.tmpl
var powerDNSText string

var (
	namedTemplate    = template.Must(template.New("named.conf").Parse(namedText))
	powerDNSTemplate = template.Must(template.New("pdns.conf").Parse(powerDNSText))
)

// NamedConfig are the values in the configuration of named that docs/dns.md shows.
type NamedConfig struct {
	ControlKey, UpdateKey             string // paths of key files
	Directory                         string // named's working directory
	Listen                            string // addresses to answer at, with a semicolon between them
	Port, ControlPort, StatisticsPort int
	More                              []string // further lines of the options, for tests
}

// PowerDNSConfig are the values in the configuration of PowerDNS that docs/dns.md shows.
type PowerDNSConfig struct {
	Database      string // path of the SQLite file
	Listen        string // addresses to answer at
	Port, APIPort int
	APIKey        string
	More          []string // further lines, for tests
}

// Text returns named.conf.
func (c NamedConfig) Text() string { return render(namedTemplate, c) }

// Text returns pdns.conf.
func (c PowerDNSConfig) Text() string { return render(powerDNSTemplate, c) }

func render(t *template.Template, values any) string {
	var b strings.Builder
	if err := t.Execute(&b, values); err != nil {
		panic("a template that is part of the program: " + err.Error())
	}
	return b.String()
}

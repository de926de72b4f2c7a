package app

import (
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"

	"github.com/caarlos0/env/v11"
)

// Load fills a configuration from the environment. The tags of its fields are the only place a setting is spelled: env (name),
// envDefault and help; ",file" after the name means that the variable holds the path of a file with the value.
func Load[C any]() (C, error) { return LoadFrom[C](env.ToMap(os.Environ())) }

// LoadFrom fills a configuration from an environment of the caller's own.
func LoadFrom[C any](environment map[string]string) (C, error) {
	cfg, err := env.ParseAsWithOptions[C](env.Options{Environment: environment})
	if err != nil {
		return cfg, fmt.Errorf("configuration: %w", err)
	}
	trimFiles(reflect.ValueOf(&cfg).Elem())
	if v, ok := any(&cfg).(interface{ Validate() error }); ok {
		if err := v.Validate(); err != nil {
			return cfg, fmt.Errorf("configuration: %w", err)
		}
	}
	return cfg, nil
}

// trimFiles cuts the line end that editors and echo leave behind a secret in a file.
func trimFiles(v reflect.Value) {
	for i := range v.NumField() {
		field, inner := v.Type().Field(i), v.Field(i)
		_, options, _ := strings.Cut(field.Tag.Get("env"), ",")
		switch {
		case nested(field):
			trimFiles(inner)
		case strings.Contains(options, "file") && inner.Kind() == reflect.String && inner.CanSet():
			inner.SetString(strings.TrimRight(inner.String(), "\r\n"))
		}
	}
}

// nested reports whether a field is a group of settings.
func nested(field reflect.StructField) bool {
	_, prefixed := field.Tag.Lookup("envPrefix")
	return (prefixed || field.Anonymous) && field.Type.Kind() == reflect.Struct
}

// Setting is one line of the configuration reference.
type Setting struct {
	Name     string
	Default  string
	Required bool
	File     bool
	Help     string
}

// Settings lists the settings of a configuration struct in the order of its fields.
func Settings(cfg any) []Setting { return settings(reflect.TypeOf(cfg), "") }

func settings(t reflect.Type, prefix string) []Setting {
	var all []Setting
	for i := range t.NumField() {
		field := t.Field(i)
		if nested(field) {
			all = append(all, settings(field.Type, prefix+field.Tag.Get("envPrefix"))...)
			continue
		}
		name, options, _ := strings.Cut(field.Tag.Get("env"), ",")
		if name == "" {
			continue
		}
		all = append(all, Setting{
			Name: prefix + name, Default: field.Tag.Get("envDefault"), Help: field.Tag.Get("help"),
			Required: strings.Contains(options, "required") || strings.Contains(options, "notEmpty"), File: strings.Contains(options, "file"),
		})
	}
	return all
}

// WriteReference writes the settings as a Markdown table.
func WriteReference(w io.Writer, settings []Setting) error {
	text := "| setting | default | what it is |\n| --- | --- | --- |\n"
	for _, s := range settings {
		value := "`" + s.Default + "`"
		switch {
		case s.Required:
			value = "required"
		case s.Default == "":
			value = "none"
		}
		help := s.Help
		if s.File {
			help += " The variable holds the path of a file."
		}
		text += fmt.Sprintf("| `%s` | %s | %s |\n", s.Name, value, strings.ReplaceAll(help, "|", `\|`))
	}
	_, err := io.WriteString(w, text)
	return err
}

package ddl

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Names says what schemas and tables are called at the target. A table that is not replicated has a name there, too: definitions refer
// to such tables.
type Names interface {
	TargetSchema(name string) (string, error)
	Target(name Name) (Name, error)
}

// place is where a statement names a table, or a schema if Table is empty.
type place struct {
	name       Name
	start, end int
}

// Rename returns the statement for the target: its text with the names replaced where they stand, the rest as it was written. A complete
// parser checks that nothing but the names of tables has changed; what that one does not understand is refused with ErrUnknown. A
// statement all of whose names stay the same is returned as it is, understood or not.
func (s Statement) Rename(names Names) (Statement, error) {
	p := &parser{tokens: scan(s.Text, s.session.ANSIQuotes), session: s.session}
	p.statement.Text = s.Text
	if err := p.parse(); err != nil {
		return s, err
	}
	if err := p.references(); err != nil {
		return s, err
	}
	targets := make([]Name, len(p.places))
	same := true
	for i, at := range p.places {
		var err error
		if targets[i], err = target(names, at.name); err != nil {
			return s, err
		}
		same = same && targets[i] == at.name
	}
	if same && s.unnamed() {
		return s.renameDefault(names)
	}
	if same {
		return s, nil
	}
	renamed := s
	renamed.Text = replace(s.Text, p.places, targets)
	if s.Kind == CreateDatabase && !p.statement.ifNotExists {
		// Several schemas may become one, which the first of them creates.
		at := p.places[0].start
		renamed.Text = s.Text[:at] + "IF NOT EXISTS " + renamed.Text[at:]
	}
	if err := renamed.rename(names); err != nil {
		return s, err
	}
	return renamed, s.prove(renamed, names)
}

func target(names Names, name Name) (Name, error) {
	if name.Table != "" {
		return names.Target(name)
	}
	schema, err := names.TargetSchema(name.Schema)
	return Name{Schema: schema}, err
}

// unnamed reports whether the statement is an ALTER DATABASE of the default schema.
func (s Statement) unnamed() bool { return s.Kind == AlterDatabase && s.Default != "" }

func (s Statement) renameDefault(names Names) (Statement, error) {
	schema, err := names.TargetSchema(s.Schema)
	s.Schema, s.Default = schema, schema
	return s, err
}

// rename replaces the names beside the text, all of which are qualified in it.
func (s *Statement) rename(names Names) error {
	s.Default = ""
	var err error
	if s.Schema != "" {
		if s.Schema, err = names.TargetSchema(s.Schema); err != nil {
			return err
		}
	}
	s.Tables, s.Renames = slices.Clone(s.Tables), slices.Clone(s.Renames)
	for i := range s.Tables {
		if s.Tables[i], err = names.Target(s.Tables[i]); err != nil {
			return err
		}
	}
	for i, pair := range s.Renames {
		if s.Renames[i].From, err = names.Target(pair.From); err != nil {
			return err
		}
		if s.Renames[i].To, err = names.Target(pair.To); err != nil {
			return err
		}
	}
	if s.Like != nil {
		model, err := names.Target(*s.Like)
		s.Like = &model
		return err
	}
	return nil
}

// references finds the tables that foreign keys refer to. REFERENCES is a reserved word: outside quotes it can be nothing else.
func (p *parser) references() error {
	if p.statement.Kind != CreateTable && p.statement.Kind != AlterTable {
		return nil
	}
	for i, t := range p.tokens {
		if !t.is("REFERENCES") {
			continue
		}
		p.at = i + 1
		if _, err := p.name(); err != nil {
			return err
		}
	}
	slices.SortFunc(p.places, func(a, b place) int { return cmp.Compare(a.start, b.start) })
	return nil
}

// replace writes the targets over the places, which are in the order of the text.
func replace(text string, places []place, targets []Name) string {
	var b strings.Builder
	at := 0
	for i, p := range places {
		b.WriteString(text[at:p.start])
		if targets[i].Table == "" {
			b.WriteString(quote(targets[i].Schema))
		} else {
			b.WriteString(targets[i].String())
		}
		at = p.end
	}
	b.WriteString(text[at:])
	return b.String()
}

// RenameCreate returns the text of SHOW CREATE TABLE or SHOW CREATE DATABASE for another name, with the tables that foreign keys refer
// to renamed. What it names without a schema is in schema. The servers write this text themselves, with every name in quotes, so that
// its tokens are enough to go by.
func RenameCreate(text, schema string, names Names) (string, error) {
	p := &parser{tokens: scan(text, false), session: Session{Schema: schema}}
	p.statement.Text = text
	err := p.parse()
	if err == nil {
		err = p.references()
	}
	if err != nil || p.statement.Kind != CreateTable && p.statement.Kind != CreateDatabase {
		return "", fmt.Errorf("%w: %s", ErrUnknown, Excerpt(text))
	}
	targets := make([]Name, len(p.places))
	same := true
	for i, at := range p.places {
		if targets[i], err = target(names, at.name); err != nil {
			return "", err
		}
		same = same && targets[i] == at.name
	}
	if same {
		return text, nil
	}
	return replace(text, p.places, targets), nil
}

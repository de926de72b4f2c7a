package ddl

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Guard begins the body of a trigger at a target: it lets the trigger run in every session but those that apply replicated rows, which set the
// variable. What the trigger did at the source is among those rows.
const Guard = "IF " + Applying + " IS NULL THEN "

// Applying is the variable that sessions which apply replicated rows set to 1.
const Applying = "@opsdeck_applying"

// Object is a CREATE, ALTER or DROP of a view, a trigger, a routine or an event.
type Object struct {
	// Verb is CREATE, ALTER or DROP; Type is VIEW, TRIGGER, PROCEDURE, FUNCTION, EVENT, PACKAGE or PACKAGE BODY.
	Verb, Type string
	// Names are those of the objects: one, or several of DROP VIEW.
	Names []Name
	// On is the table of a trigger that is created.
	On Name

	statement Statement
	tokens    []token
	places    []place // of the name and of the trigger's table
	kept      bool    // IF NOT EXISTS
	replaces  span    // OR REPLACE
	definer   span    // DEFINER = account
	body      int     // the token that the body of a trigger, the query of a view or the clauses of an event begin with
}

type span struct{ start, end int }

// Object reads a statement about an object, which Objects names.
func (s Statement) Object() (Object, error) { return ParseObject(s.Text, s.session) }

// ParseObject reads a statement about an object, for example the answer of SHOW CREATE VIEW.
func ParseObject(text string, session Session) (Object, error) {
	p := &parser{tokens: scan(text, session.ANSIQuotes), session: session}
	o := Object{tokens: p.tokens, statement: Statement{Text: text, session: session}}
	if err := p.object(&o); err != nil {
		return o, fmt.Errorf("%w: %s", err, Excerpt(text))
	}
	return o, nil
}

func (p *parser) object(o *Object) error {
	o.Verb = strings.ToUpper(p.take().text)
	if o.Verb != "CREATE" && o.Verb != "ALTER" && o.Verb != "DROP" {
		return ErrUnknown
	}
	if from := p.peek().start; p.accept("OR", "REPLACE") {
		o.replaces = span{from, p.tokens[p.at-1].end}
	}
	if err := p.typeOf(o); err != nil {
		return err
	}
	p.existence()
	o.kept = p.statement.ifNotExists
	for {
		name, err := p.name()
		if err != nil {
			return err
		}
		o.Names = append(o.Names, name)
		if o.Verb != "DROP" || !p.peek().isSign(',') {
			break
		}
		p.at++
	}
	o.body = p.at
	var err error
	if o.Verb == "CREATE" && o.Type == "TRIGGER" {
		err = p.trigger(o)
	}
	if o.Verb != "DROP" && o.Type == "VIEW" {
		err = p.query(o)
	}
	o.places = p.places
	return err
}

// typeOf reads up to the word for the object, and remembers where the definer stands.
func (p *parser) typeOf(o *Object) error {
	for t := p.take(); t.kind != tokenEnd; t = p.take() {
		switch {
		case t.is("DEFINER") && p.peek().isSign('='):
			p.at += 2
			if p.peek().isSign('@') {
				p.at += 2
			} else if p.peek().isSign('(') {
				p.at += 2
			}
			o.definer = span{t.start, p.tokens[min(p.at, len(p.tokens))-1].end}
		case t.is("VIEW"), t.is("TRIGGER"), t.is("PROCEDURE"), t.is("FUNCTION"), t.is("EVENT"):
			o.Type = strings.ToUpper(t.text)
			return nil
		case t.is("PACKAGE"):
			o.Type = "PACKAGE"
			if p.accept("BODY") {
				o.Type = "PACKAGE BODY"
			}
			return nil
		}
	}
	return ErrUnknown
}

// trigger reads what stands between the name of a trigger and its body.
func (p *parser) trigger(o *Object) error {
	for t := p.take(); !t.is("ON"); t = p.take() {
		if t.kind == tokenEnd {
			return ErrUnknown
		}
	}
	var err error
	if o.On, err = p.name(); err != nil {
		return err
	}
	if !p.accept("FOR", "EACH", "ROW") {
		return ErrUnknown
	}
	if p.accept("FOLLOWS") || p.accept("PRECEDES") {
		if _, err := p.identifier(); err != nil {
			return err
		}
	}
	if o.body = p.at; o.body >= len(p.tokens) {
		return ErrUnknown
	}
	return nil
}

// query finds the query of a view behind its columns.
func (p *parser) query(o *Object) error {
	for t := p.take(); !t.is("AS"); t = p.take() {
		if t.kind == tokenEnd {
			return ErrUnknown
		}
	}
	if o.body = p.at; o.body >= len(p.tokens) {
		return ErrUnknown
	}
	return nil
}

// OwnDefiner returns a statement about an object with the account that executes it as the definer, and whether the statement names another one.
func (s Statement) OwnDefiner() (own Statement, other bool, err error) {
	o, err := s.Object()
	if err != nil || o.definer.end == 0 {
		return s, false, err
	}
	s.Text = apply(s.Text, []edit{{o.definer, "DEFINER=CURRENT_USER"}})
	return s, true, nil
}

// edit replaces a part of a text.
type edit struct {
	span
	text string
}

func apply(text string, edits []edit) string {
	slices.SortFunc(edits, func(a, b edit) int { return cmp.Compare(a.start, b.start) })
	var b strings.Builder
	at := 0
	for _, e := range edits {
		b.WriteString(text[at:e.start])
		b.WriteString(e.text)
		at = e.end
	}
	b.WriteString(text[at:])
	return b.String()
}

package ddl

import (
	"slices"
	"strings"
)

// SplitKeys takes the ordinary secondary keys out of the text of SHOW CREATE TABLE: those that are not unique, order words or shapes, or number the rows. It
// returns the statement without them, and how an ALTER TABLE adds each that is missing. A table with foreign keys keeps all of its keys, as they may need them.
func SplitKeys(text string) (without string, additions []string) {
	tokens := scan(text, false)
	elements, last := createElements(text, tokens)
	if last < 0 || slices.ContainsFunc(tokens, func(t token) bool { return t.is("REFERENCES") }) {
		return text, nil
	}
	counter := counterOf(elements)
	at := 0
	for i, e := range elements {
		start, end := strings.LastIndexByte(text[:e.tokens[0].start], ','), e.tokens[len(e.tokens)-1].end
		next := tokens[last].start
		if i+1 < len(elements) {
			next = elements[i+1].tokens[0].start
		}
		if i == 0 || !e.tokens[0].is("KEY") || strings.EqualFold(e.firstColumn(), counter) || strings.Contains(text[start:next], "/*") {
			continue
		}
		additions = append(additions, "ADD KEY IF NOT EXISTS"+strings.TrimPrefix(e.text, "KEY"))
		without += text[at:start]
		at = end
	}
	return without + text[at:], additions
}

// Counts reports whether a column of a SHOW CREATE TABLE is an AUTO_INCREMENT.
func Counts(text string) bool {
	elements, _ := createElements(text, scan(text, false))
	return counterOf(elements) != ""
}

// createElements are the parts of a CREATE TABLE, and the token that closes their parentheses, -1 if there are none.
func createElements(text string, tokens []token) ([]element, int) {
	first := slices.IndexFunc(tokens, func(t token) bool { return t.isSign('(') })
	if first < 0 {
		return nil, -1
	}
	return elementsOf(text, tokens, first)
}

// counterOf is the column that numbers the rows, "" if none does. It must be the first of a key from the start.
func counterOf(elements []element) string {
	for _, e := range elements {
		if e.column != "" && slices.ContainsFunc(e.tokens, func(t token) bool { return t.is("AUTO_INCREMENT") }) {
			return e.column
		}
	}
	return ""
}

// firstColumn is the first name in parentheses.
func (e element) firstColumn() string {
	open := slices.IndexFunc(e.tokens, func(t token) bool { return t.isSign('(') })
	if open < 0 || open+1 == len(e.tokens) {
		return ""
	}
	return e.tokens[open+1].text
}

// References are the tables that the foreign keys of a SHOW CREATE TABLE refer to. What it names without a schema is in schema.
func References(text, schema string) ([]Name, error) {
	p := &parser{tokens: scan(text, false), session: Session{Schema: schema}}
	p.statement.Text = text
	if err := p.parse(); err != nil {
		return nil, err
	}
	own := len(p.places)
	if err := p.references(); err != nil {
		return nil, err
	}
	var out []Name
	for _, at := range p.places[own:] { // in the order of the text, the table's own name before all
		out = append(out, at.name)
	}
	return out, nil
}

package ddl

import (
	"fmt"
	"slices"
	"strings"
)

// element is a part of a CREATE TABLE between its commas.
type element struct {
	tokens []token
	text   string
	column string // the column that it defines, "" for keys and checks
}

// ProjectCreate returns a CREATE TABLE with the given columns only, in their order, and all columns that the text defines. Keys, foreign keys
// and checks over other columns are left out, a primary key over them is refused.
func ProjectCreate(text string, ansiQuotes bool, columns []string) (projected string, all []string, err error) {
	tokens := scan(text, ansiQuotes)
	first := slices.IndexFunc(tokens, func(t token) bool { return t.isSign('(') })
	if first < 0 {
		return "", nil, fmt.Errorf("%w: it defines no columns: %s", ErrUnknown, Excerpt(text))
	}
	elements, last := elementsOf(text, tokens, first)
	if last < 0 {
		return "", nil, fmt.Errorf("%w: %s", ErrUnknown, Excerpt(text))
	}
	for _, e := range elements {
		if e.column != "" {
			all = append(all, e.column)
		}
	}
	p := projection{columns: columns}
	for _, name := range all {
		if !p.keeps(name) {
			p.left = append(p.left, name)
		}
	}
	parts, err := p.apply(elements)
	if err != nil {
		return "", nil, err
	}
	if p.namesLeft(tokens[last+1:]) {
		return "", nil, fmt.Errorf("%w: its partitions depend on a column that column_map_from leaves out", ErrUnknown)
	}
	return text[:tokens[first].end] + strings.Join(parts, ", ") + text[tokens[last].start:], all, nil
}

// ProjectCreate is the function of that name for a statement of a session.
func (s Statement) ProjectCreate(columns []string) (Statement, []string, error) {
	text, all, err := ProjectCreate(s.Text, s.session.ANSIQuotes, columns)
	if err != nil {
		return s, nil, err
	}
	s.Text = text
	return s, all, nil
}

// elementsOf splits the parentheses that open at a token, and returns where they close, -1 if they do not.
func elementsOf(text string, tokens []token, open int) (elements []element, closing int) {
	depth, start := 0, open+1
	for i := open; i < len(tokens); i++ {
		switch t := tokens[i]; {
		case t.isSign('('):
			depth++
		case t.isSign(')'):
			depth--
		}
		if depth > 0 && (depth > 1 || !tokens[i].isSign(',')) {
			continue
		}
		if i > start {
			part := tokens[start:i]
			elements = append(elements, element{tokens: part, text: text[part[0].start:part[len(part)-1].end], column: columnOf(part[0])})
		}
		start = i + 1
		if depth == 0 {
			return elements, i
		}
	}
	return nil, -1
}

// columnOf is the column that an element beginning with a token defines. The words that begin others are reserved, all but one.
func columnOf(t token) string {
	for _, keyword := range []string{"PRIMARY", "UNIQUE", "KEY", "INDEX", "FULLTEXT", "SPATIAL", "CONSTRAINT", "CHECK", "FOREIGN", "PERIOD", "LIKE"} {
		if t.is(keyword) {
			return ""
		}
	}
	if t.kind != tokenName && t.kind != tokenWord {
		return ""
	}
	return t.text
}

// projection is a choice of columns.
type projection struct {
	columns, left []string
}

func contains(names []string, name string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
}

func (p projection) keeps(name string) bool { return contains(p.columns, name) }

// apply returns the texts of the elements that stay: the columns in the order of the choice, then the rest.
func (p projection) apply(elements []element) ([]string, error) {
	parts := make([]string, len(p.columns))
	var rest []string
	for _, e := range elements {
		at := slices.IndexFunc(p.columns, func(n string) bool { return strings.EqualFold(n, e.column) })
		switch {
		case e.column == "":
			keep, err := p.keepsKey(e)
			if err != nil {
				return nil, err
			}
			if keep {
				rest = append(rest, e.text)
			}
		case at >= 0 && p.namesLeft(e.tokens):
			return nil, fmt.Errorf("%w: column %s depends on a column that column_map_from leaves out", ErrUnknown, e.column)
		case at >= 0:
			parts[at] = e.text
		}
	}
	if missing := slices.Index(parts, ""); missing >= 0 {
		return nil, fmt.Errorf("column_map_from names column %s, which the table does not have", p.columns[missing])
	}
	return append(parts, rest...), nil
}

// keepsKey reports whether a key, a foreign key or a check is about kept columns only.
func (p projection) keepsKey(e element) (bool, error) {
	names := e.tokens
	if i := slices.IndexFunc(names, func(t token) bool { return t.is("REFERENCES") }); i >= 0 {
		names = names[:i] // behind it are columns of another table
	}
	if !p.namesLeft(names) {
		return true, nil
	}
	if slices.ContainsFunc(e.tokens, func(t token) bool { return t.is("PRIMARY") }) {
		return false, fmt.Errorf("column_map_from leaves out a column of the primary key: %s", e.text)
	}
	return false, nil
}

// namesLeft reports whether a column that is left out is named in parentheses.
func (p projection) namesLeft(tokens []token) bool {
	depth := 0
	for _, t := range tokens {
		switch {
		case t.isSign('('):
			depth++
		case t.isSign(')'):
			depth--
		case depth > 0 && (t.kind == tokenName || t.kind == tokenWord) && contains(p.left, t.text):
			return true
		}
	}
	return false
}

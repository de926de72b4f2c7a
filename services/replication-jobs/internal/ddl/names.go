package ddl

import (
	"fmt"
)

func (p *parser) existence() {
	if p.accept("IF", "EXISTS") {
		p.statement.ifExists = true
		return
	}
	p.statement.ifNotExists = p.accept("IF", "NOT", "EXISTS")
}

// database reads the schema's name, which ALTER DATABASE may leave out.
func (p *parser) database(kind Kind) error {
	p.statement.Kind = kind
	p.existence()
	t := p.peek()
	unnamed := kind == AlterDatabase && (t.is("CHARACTER") || t.is("CHARSET") || t.is("COLLATE") || t.is("DEFAULT") || t.is("COMMENT") ||
		t.is("READ") || t.is("UPGRADE"))
	if unnamed {
		p.statement.Schema, p.statement.Default = p.session.Schema, p.session.Schema
	} else {
		name, err := p.identifier()
		if err != nil {
			return err
		}
		p.statement.Schema = name
		p.places = append(p.places, place{name: Name{Schema: name}, start: t.start, end: t.end})
	}
	if p.statement.Schema == "" {
		return fmt.Errorf("%w: it names no schema and has no default one", ErrUnknown)
	}
	return nil
}

// table reads [IF [NOT] EXISTS] name.
func (p *parser) table() error {
	p.existence()
	name, err := p.name()
	if err != nil {
		return err
	}
	p.statement.Tables = append(p.statement.Tables, name)
	return nil
}

func (p *parser) tables() error {
	for {
		if err := p.table(); err != nil {
			return err
		}
		if !p.peek().isSign(',') {
			return nil
		}
		p.at++
	}
}

// index reads [IF [NOT] EXISTS] index ... ON table.
func (p *parser) index(kind Kind) error {
	p.statement.Kind = kind
	p.existence()
	for t := p.take(); t.kind != tokenEnd; t = p.take() {
		if t.is("ON") {
			return p.table()
		}
	}
	return ErrUnknown
}

func (p *parser) rename() error {
	switch {
	case p.accept("USER"):
		return p.ignore("user")
	case !p.accept("TABLE") && !p.accept("TABLES"):
		return ErrUnknown
	}
	p.statement.Kind = RenameTable
	p.existence()
	for {
		from, err := p.name()
		if err != nil {
			return err
		}
		p.wait()
		if !p.accept("TO") {
			return ErrUnknown
		}
		to, err := p.name()
		if err != nil {
			return err
		}
		p.renamed(from, to)
		if !p.peek().isSign(',') {
			return nil
		}
		p.at++
	}
}

func (p *parser) renamed(from, to Name) {
	p.statement.Renames = append(p.statement.Renames, Rename{From: from, To: to})
	if p.statement.Kind == RenameTable {
		p.statement.Tables = append(p.statement.Tables, from)
	}
	p.statement.Tables = append(p.statement.Tables, to)
}

// wait skips MariaDB's [WAIT n | NOWAIT].
func (p *parser) wait() {
	if p.accept("WAIT") {
		p.at++
		return
	}
	p.accept("NOWAIT")
}

// specifications looks through the parts of ALTER TABLE for other tables: RENAME [TO|AS] name, EXCHANGE PARTITION ... WITH TABLE name.
func (p *parser) specifications() error {
	p.wait()
	depth, start := 0, true
	for t := p.take(); t.kind != tokenEnd; t = p.take() {
		switch {
		case t.isSign('('):
			depth++
		case t.isSign(')'):
			depth--
		case depth == 0 && t.isSign(','):
			start = true
			continue
		case depth == 0 && start && t.is("RENAME"):
			if err := p.renameTo(); err != nil {
				return err
			}
		case depth == 0 && t.is("WITH") && p.accept("TABLE"):
			if err := p.table(); err != nil {
				return err
			}
		}
		start = false
	}
	return nil
}

func (p *parser) renameTo() error {
	if t := p.peek(); t.is("COLUMN") || t.is("INDEX") || t.is("KEY") || t.is("CONSTRAINT") {
		return nil
	}
	if !p.accept("TO") {
		p.accept("AS")
	}
	if p.peek().isSign('=') {
		p.at++
	}
	to, err := p.name()
	if err != nil {
		return err
	}
	p.renamed(p.statement.Tables[0], to)
	return nil
}

// name reads table or schema.table.
func (p *parser) name() (Name, error) {
	start := p.peek().start
	first, err := p.identifier()
	if err != nil {
		return Name{}, err
	}
	name := Name{Schema: p.session.Schema, Table: first}
	if p.peek().isSign('.') {
		p.at++
		second, err := p.identifier()
		if err != nil {
			return Name{}, err
		}
		name = Name{Schema: first, Table: second}
	} else {
		if name.Schema == "" {
			return Name{}, fmt.Errorf("%w: table %s has no schema and the session no default one", ErrUnknown, quote(first))
		}
		p.statement.Default = name.Schema
	}
	p.places = append(p.places, place{name: name, start: start, end: p.tokens[p.at-1].end})
	return name, nil
}

func (p *parser) identifier() (string, error) {
	t := p.take()
	if (t.kind != tokenWord && t.kind != tokenName) || t.text == "" {
		return "", ErrUnknown
	}
	return t.text, nil
}

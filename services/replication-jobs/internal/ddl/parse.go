package ddl

import (
	"errors"
	"fmt"
	"strings"
)

// ErrUnknown is wrapped by the error for a statement whose effect on the selected tables cannot be told.
var ErrUnknown = errors.New("statement is not understood")

// ErrRowFormat is wrapped by the error for a change of rows logged as a statement.
var ErrRowFormat = errors.New("the source logs changes as statements; set binlog_format=ROW there, for all sessions")

// Session is what the meaning of a statement depends on.
type Session struct {
	Schema     string // default schema
	ANSIQuotes bool   // sql_mode ANSI_QUOTES: "a" is an identifier
	SQLMode    uint64 // the bit set of sql_mode; of ANSI_QUOTES the field above speaks
}

// Parse reads one statement.
func Parse(text string, session Session) (Statement, error) {
	p := &parser{tokens: scan(text, session.ANSIQuotes), session: session}
	p.statement.Text, p.statement.session = trim(text), session
	if err := p.parse(); err != nil {
		return Statement{}, fmt.Errorf("%w: %s", err, Excerpt(text))
	}
	return p.statement, nil
}

// Excerpt shortens a statement for a message.
func Excerpt(text string) string {
	const limit = 300
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + " ..."
}

// trim removes what some clients leave behind the statement.
func trim(text string) string {
	return strings.TrimRight(text, "; \t\r\n\x00")
}

type parser struct {
	tokens    []token
	at        int
	session   Session
	statement Statement
	places    []place // of all names read so far, in order
}

func (p *parser) peek() token {
	if p.at < len(p.tokens) {
		return p.tokens[p.at]
	}
	return token{}
}

func (p *parser) take() token {
	t := p.peek()
	p.at++
	return t
}

// accept consumes the keywords if all of them follow.
func (p *parser) accept(keywords ...string) bool {
	for i, keyword := range keywords {
		if p.at+i >= len(p.tokens) || !p.tokens[p.at+i].is(keyword) {
			return false
		}
	}
	p.at += len(keywords)
	return true
}

// acceptAny consumes any number of the keywords.
func (p *parser) acceptAny(keywords ...string) {
	for {
		found := false
		for _, keyword := range keywords {
			found = found || p.accept(keyword)
		}
		if !found {
			return
		}
	}
}

func (p *parser) parse() error {
	switch verb := p.take(); {
	case verb.kind == tokenEnd:
		return p.ignore("")
	case verb.is("CREATE"):
		return p.create()
	case verb.is("ALTER"):
		return p.alter()
	case verb.is("DROP"):
		return p.drop()
	case verb.is("TRUNCATE"):
		p.accept("TABLE")
		p.statement.Kind = TruncateTable
		return p.table()
	case verb.is("RENAME"):
		return p.rename()
	case verb.is("SET") && p.accept("STATEMENT"):
		return p.setStatement()
	case verb.kind == tokenWord:
		return p.other(strings.ToUpper(verb.text))
	default:
		return ErrUnknown
	}
}

// setStatement reads what stands behind MariaDB's SET STATEMENT variable = value, ... FOR.
func (p *parser) setStatement() error {
	for t := p.take(); t.kind != tokenEnd; t = p.take() {
		if t.is("FOR") {
			return p.parse()
		}
	}
	return ErrUnknown
}

// other tells the statements that are no concern of replication from those that would change rows unseen.
func (p *parser) other(verb string) error {
	switch verb {
	case "GRANT", "REVOKE":
		return p.ignore("privilege")
	case "SET":
		return p.ignore("setting")
	case "ANALYZE", "OPTIMIZE", "REPAIR", "FLUSH", "CHECK", "INSTALL", "UNINSTALL":
		return p.ignore("")
	case "INSERT", "UPDATE", "DELETE", "REPLACE", "LOAD", "CALL", "WITH":
		return ErrRowFormat
	default:
		return ErrUnknown
	}
}

func (p *parser) ignore(what string) error {
	p.statement.Kind, p.statement.What = Ignored, what
	return nil
}

func (p *parser) create() error {
	p.statement.Replaces = p.accept("OR", "REPLACE")
	switch {
	case p.accept("DATABASE"), p.accept("SCHEMA"):
		return p.database(CreateDatabase)
	case p.accept("TEMPORARY"):
		return p.ignore("")
	case p.accept("TABLE"), p.accept("SEQUENCE"):
		p.statement.Kind = CreateTable
		if err := p.table(); err != nil {
			return err
		}
		p.standAlone()
		return p.like()
	}
	p.acceptAny("ONLINE", "OFFLINE", "UNIQUE", "FULLTEXT", "SPATIAL", "VECTOR")
	if p.accept("INDEX") {
		return p.index(CreateIndex)
	}
	return p.definition()
}

// standAlone removes START TRANSACTION from the end of the text, with which MySQL 8 ties the definition to the rows that follow it.
func (p *parser) standAlone() {
	n := len(p.tokens)
	if n > 2 && p.tokens[n-1].is("TRANSACTION") && p.tokens[n-2].is("START") {
		p.statement.Text = trim(p.statement.Text[:p.tokens[n-2].start])
	}
}

func (p *parser) like() error {
	open := p.peek().isSign('(')
	if open {
		p.at++
	}
	if !p.accept("LIKE") {
		return nil
	}
	model, err := p.name()
	if err != nil {
		return err
	}
	p.statement.Like = &model
	return nil
}

func (p *parser) alter() error {
	p.acceptAny("ONLINE", "OFFLINE", "IGNORE")
	switch {
	case p.accept("DATABASE"), p.accept("SCHEMA"):
		return p.database(AlterDatabase)
	case p.accept("TABLE"), p.accept("SEQUENCE"):
		p.statement.Kind = AlterTable
		if err := p.table(); err != nil {
			return err
		}
		return p.specifications()
	}
	return p.definition()
}

func (p *parser) drop() error {
	switch {
	case p.accept("DATABASE"), p.accept("SCHEMA"):
		return p.database(DropDatabase)
	case p.accept("TEMPORARY"):
		return p.ignore("")
	case p.accept("TABLE"), p.accept("TABLES"), p.accept("SEQUENCE"):
		p.statement.Kind = DropTable
		return p.tables()
	}
	p.acceptAny("ONLINE", "OFFLINE")
	if p.accept("INDEX") {
		return p.index(DropIndex)
	}
	return p.definition()
}

// objects that are recognised and not replicated, by the word that names them.
var objects = map[string]string{
	"VIEW": "view", "TRIGGER": "trigger", "PROCEDURE": "procedure", "FUNCTION": "function", "EVENT": "event", "PACKAGE": "package",
	"USER": "user", "ROLE": "role", "SERVER": "server", "TABLESPACE": "tablespace", "LOGFILE": "tablespace", "RESOURCE": "resource group",
	"SPATIAL": "spatial reference system", "INSTANCE": "instance", "PREPARE": "prepared statement", "UNDO": "tablespace",
}

// definition finds what a CREATE, ALTER or DROP defines behind options such as DEFINER=... and SQL SECURITY ....
func (p *parser) definition() error {
	for t := p.take(); t.kind != tokenEnd; t = p.take() {
		if t.isSign('(') {
			return ErrUnknown
		}
		if t.kind != tokenWord {
			continue
		}
		if what, ok := objects[strings.ToUpper(t.text)]; ok {
			p.objects(what)
			return p.ignore(what)
		}
	}
	return ErrUnknown
}

// objects reads the names of what lives in a schema. Loadable functions do not, and have none: they are left without a name.
func (p *parser) objects(what string) {
	switch what {
	case "view", "trigger", "procedure", "function", "event", "package":
	default:
		return
	}
	p.accept("BODY")
	p.existence()
	for {
		name, err := p.name()
		if err != nil {
			return
		}
		p.statement.Objects = append(p.statement.Objects, name)
		if what != "view" || !p.peek().isSign(',') {
			return
		}
		p.at++
	}
}

package mysql

import (
	"unsafe"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
)

// The arguments of COM_SET_OPTION.
const (
	multiStatementsOn  = 0
	multiStatementsOff = 1
)

// AllowBatches sets whether a session with MySQL takes several statements at a time. A new one does not: what is smuggled into a statement is then
// an error and not another statement. A session with MariaDB never does, as RunBatch needs no leave there.
func (c *Conn) AllowBatches(allowed bool) error {
	if c.compounds() {
		return nil
	}
	if allowed == c.batches {
		return nil
	}
	option := byte(multiStatementsOff)
	if allowed {
		option = multiStatementsOn
	}
	c.ResetSequence()
	if err := c.WritePacket([]byte{0, 0, 0, 0, gomysql.COM_SET_OPTION, option, 0}); err != nil { // the first four bytes are for the header
		return c.cause(err)
	}
	answer, err := c.ReadPacket()
	if err != nil {
		return c.cause(err)
	}
	if len(answer) == 0 || answer[0] == gomysql.ERR_HEADER {
		return &Error{Sentence: "the server does not take several statements at a time"}
	}
	c.batches = allowed
	return nil
}

// RunBatch executes statements, separated by semicolons, one after the other up to the first that fails, whose error it returns, in one round
// trip. The session must allow it, see AllowBatches. MariaDB gets one compound statement, for which it answers once and not for each
// statement in it. There a transaction begins with START TRANSACTION, as BEGIN begins a block.
func (c *Conn) RunBatch(statements []byte) error {
	if c.compounds() {
		c.compound = append(append(append(c.compound[:0], "BEGIN NOT ATOMIC "...), statements...), "; END"...)
		_, err := c.Run(c.compound)
		return err
	}
	text := unsafe.String(unsafe.SliceData(statements), len(statements)) //nolint:gosec // nobody changes it meanwhile, and nobody keeps it
	var failed error
	_, err := c.ExecuteMultiple(text, func(_ *gomysql.Result, err error) { failed = err })
	if err == nil {
		err = failed
	}
	return c.cause(err)
}

// compounds reports whether the server has compound statements outside of routines.
func (c *Conn) compounds() bool { return c.Flavor.Name() == gomysql.MariaDBFlavor }

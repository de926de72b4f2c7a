package mysql

import (
	gomysql "github.com/go-mysql-org/go-mysql/mysql"
)

// filePacket is the size, in bytes, of the packets in which a file is sent.
const filePacket = 64 << 10

// Load runs a LOAD DATA LOCAL INFILE. Whatever the statement calls it, its file is rows: no file of this machine is ever read, and a server that asks
// for one in answer to anything else gets none. What does not fit is no error but a warning, which the result counts.
func (c *Conn) Load(statement string, rows []byte) (*gomysql.Result, error) {
	r, err := c.load(statement, rows)
	return r, c.cause(err)
}

func (c *Conn) load(statement string, rows []byte) (*gomysql.Result, error) {
	c.ResetSequence()
	if err := c.WritePacket(append([]byte{0, 0, 0, 0, gomysql.COM_QUERY}, statement...)); err != nil {
		return nil, err
	}
	answer, err := c.ReadPacket()
	if err == nil && answer[0] == gomysql.LocalInFile_HEADER {
		answer, err = c.sendFile(rows)
	}
	if err != nil {
		return nil, err
	}
	switch answer[0] {
	case gomysql.OK_HEADER:
		return c.HandleOKPacket(answer), nil
	case gomysql.ERR_HEADER:
		return nil, c.HandleErrorPacket(answer)
	}
	return nil, gomysql.ErrMalformPacket
}

// sendFile sends the file and returns the server's verdict on it, which comes after the empty packet at its end.
func (c *Conn) sendFile(rows []byte) ([]byte, error) {
	packet := make([]byte, 4+filePacket) // the first bytes are the packet's header
	for {
		n := copy(packet[4:], rows)
		if err := c.WritePacket(packet[:4+n]); err != nil {
			return nil, err
		}
		if n == 0 {
			return c.ReadPacket()
		}
		rows = rows[n:]
	}
}

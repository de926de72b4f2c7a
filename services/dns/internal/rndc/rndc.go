// Package rndc sends commands to named over its control channel, as the program rndc does: in one process, with the results as numbers
// instead of text.
//
// The protocol is version 1 of libisccc, documented by its source only. A message is its length and version, 32 bits each, and a table: a run of
// fields with a key, a kind and a value. The first field, _auth, holds a MAC of everything behind it.
package rndc

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/opsdeck/opsdeck/services/dns/internal/keyfile"
)

const (
	version    = 1
	maxMessage = 1 << 20 // bytes of an answer; showzone is the longest that is asked for
	lifetime   = time.Minute
)

// Client talks to one named.
type Client struct {
	Addr string // host:port of its control channel
	Key  keyfile.Key
}

// Results of commands, as numbered by BIND's isc/result.h.
const (
	resultSuccess  = 0
	resultExists   = 18
	resultNotFound = 23
)

// Failure is a command that named did not carry out.
type Failure struct {
	Result int    // of isc/result.h
	Text   string // what named said
}

func (f *Failure) Error() string { return fmt.Sprintf("named said: %s (result %d)", f.Text, f.Result) }

// Exists reports a failure because there is one already.
func Exists(err error) bool { return result(err) == resultExists }

// NotFound reports a failure because there is none.
func NotFound(err error) bool { return result(err) == resultNotFound }

func result(err error) int {
	var failure *Failure
	if errors.As(err, &failure) {
		return failure.Result
	}
	return resultSuccess
}

// Do runs a command, as one would type it behind "rndc", and returns what named answers. Errors: *Failure when named did not carry it
// out; others when it could not be asked.
func (c Client) Do(ctx context.Context, command string) (string, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", c.Addr)
	if err != nil {
		return "", fmt.Errorf("control channel of named: %w", err)
	}
	defer func() { _ = conn.Close() }() // the exchange is over
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	s := session{conn: conn, key: c.Key}
	_, _ = rand.Read(s.id[:]) // never fails: it ends the process instead
	// The first exchange only fetches a nonce, which keeps recorded commands from being played again.
	greeting, err := s.exchange("null")
	if err != nil {
		return "", errors.Join(ctx.Err(), err)
	}
	s.nonce = greeting.text("_ctrl", "_nonce")
	answer, err := s.exchange(command)
	if err != nil {
		return "", errors.Join(ctx.Err(), err)
	}
	text := answer.text("_data", "text")
	number := answer.text("_data", "result")
	if number == "" {
		return text, nil
	}
	code, err := strconv.Atoi(number)
	if err != nil {
		return "", errors.New("control channel of named: the result is not a number")
	}
	if code != resultSuccess {
		return "", &Failure{Result: code, Text: answer.text("_data", "err")}
	}
	return text, nil
}

// session is one connection.
type session struct {
	conn  net.Conn
	key   keyfile.Key
	id    [4]byte
	turn  uint32
	nonce string
}

// exchange sends one command and reads the answer to it.
func (s *session) exchange(command string) (table, error) {
	s.turn++
	serial := strconv.FormatUint(uint64(binary.BigEndian.Uint32(s.id[:])+s.turn), 10)
	now := time.Now()
	control := []field{
		{"_ser", serial}, {"_tim", strconv.FormatInt(now.Unix(), 10)}, {"_exp", strconv.FormatInt(now.Add(lifetime).Unix(), 10)},
	}
	if s.nonce != "" {
		control = append(control, field{"_nonce", s.nonce})
	}
	body := appendTable(nil, "_ctrl", control)
	body = appendTable(body, "_data", []field{{"type", command}})
	if _, err := s.conn.Write(seal(s.key, body)); err != nil {
		return nil, fmt.Errorf("control channel of named: %w", err)
	}
	answer, err := s.read()
	if err != nil {
		return nil, err
	}
	if answer.text("_ctrl", "_ser") != serial {
		return nil, errors.New("control channel of named: the answer belongs to another command")
	}
	return answer, nil
}

func (s *session) read() (table, error) {
	var head [8]byte
	if _, err := io.ReadFull(s.conn, head[:]); err != nil {
		return nil, fmt.Errorf("control channel of named gave no answer; is the key one of its controls, and this address allowed? %w", err)
	}
	size, got := binary.BigEndian.Uint32(head[:4]), binary.BigEndian.Uint32(head[4:])
	if got != version || size < 4 || size > maxMessage {
		return nil, errors.New("control channel of named: not an answer of this protocol")
	}
	message := make([]byte, size-4)
	if _, err := io.ReadFull(s.conn, message); err != nil {
		return nil, fmt.Errorf("control channel of named: %w", err)
	}
	return open(s.key, message)
}

package mariadb

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
)

const connectTimeout = 10 * time.Second

// Connect opens a session of the administrator in a schema; "" for none. The caller closes it.
func (s *Server) Connect(ctx context.Context, schema string) (*client.Conn, error) {
	return client.ConnectWithContext(ctx, s.Addr(), s.opt.User, s.opt.Password, schema, connectTimeout, func(c *client.Conn) error {
		return c.SetCollation("utf8mb4_general_ci")
	})
}

// Value returns the last column of the first row that a query returns, as text.
func (s *Server) Value(ctx context.Context, query string) (value string, err error) {
	conn, err := s.Connect(ctx, "")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	rows, err := conn.Execute(query)
	if err != nil {
		return "", fmt.Errorf("%s: %w", query, err)
	}
	defer rows.Close()
	value, err = rows.GetString(0, rows.ColumnNumber()-1)
	return strings.Clone(value), err // it lies in a buffer that Close gives to the next query
}

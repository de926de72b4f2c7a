// Package instance looks into MySQL and MariaDB servers for people who are about to make a job.
package instance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"go.uber.org/zap"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/fault"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/job"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// timeLimit bounds a whole look: somebody waits for it.
const timeLimit = 5 * time.Second

var errSlow = fmt.Errorf("no answer within %v", timeLimit)

// Service answers MySQLService. The character set of a request does not matter: metadata arrives as UTF-8 whatever it is.
type Service struct {
	replicationv1.UnimplementedMySQLServiceServer

	key job.Decrypter
	log *zap.Logger
}

// NewService returns the service; a nil key means that clients cannot encrypt passwords.
func NewService(key job.Decrypter, log *zap.Logger) *Service { return &Service{key: key, log: log} }

// account is what every request says about its instance.
type account interface {
	GetMysqlHost() string
	GetMysqlPort() int32
	GetMysqlUser() string
	GetMysqlPassword() string
	GetIsMysqlPasswordEncrypted() bool
	GetMysqlSslMode() string
	GetMysqlSslCa() string
}

// look connects to the instance that a request names and lets do read from it.
func (s *Service) look(ctx context.Context, r account, do func(c *mysql.Conn) error) error {
	password := r.GetMysqlPassword()
	if r.GetIsMysqlPasswordEncrypted() {
		var err error
		if password, err = job.Decrypt(s.key, "mysql_password", password); err != nil {
			return err
		}
	}
	cfg := mysql.Config{
		Host: r.GetMysqlHost(), Port: uint16(r.GetMysqlPort()), User: r.GetMysqlUser(), Password: password,
		SSL: mysql.SSL{Mode: mysql.SSLMode(r.GetMysqlSslMode()), CA: r.GetMysqlSslCa()},
	}
	if err := cfg.SSL.Check(); err != nil {
		return fault.Invalid("mysql_ssl_ca", "%v", err)
	}
	// Signed-in people may make this server connect to anything it can reach: the log says who did.
	s.log.Info("looking into an instance", zap.String("user", authn.FromContext(ctx).Name()), zap.String("instance", cfg.Addr()), zap.String("mysql_user", cfg.User))
	ctx, cancel := context.WithTimeoutCause(ctx, timeLimit, errSlow)
	defer cancel()
	conn, err := mysql.Connect(ctx, cfg)
	if err != nil {
		return refusal(cfg, err)
	}
	err = do(conn)
	_ = conn.Close() // nothing was written
	return refusal(cfg, err)
}

// refusal says why an instance could not be looked into. The instance is the caller's choice, so the caller can do something.
func refusal(cfg mysql.Config, err error) error {
	switch {
	case err == nil, fault.From(err) != nil:
		return err
	case errors.Is(err, errSlow), errors.Is(err, context.DeadlineExceeded):
		return fault.Precondition("MYSQL_UNREACHABLE", "%s: %v", cfg.Addr(), errSlow).Wrap(err)
	case mysql.Permanent(err), mysql.Code(err) != 0:
		return fault.Precondition("MYSQL_REFUSED", "%s: %v", cfg.Addr(), mysql.Explain(err))
	}
	return fault.Precondition("MYSQL_UNREACHABLE", "%s: %v", cfg.Addr(), mysql.Explain(err))
}

// ListSchemas returns the schemas of an instance with their tables.
func (s *Service) ListSchemas(ctx context.Context, r *replicationv1.ListSchemasRequest) (*replicationv1.ListSchemasResponse, error) {
	answer := &replicationv1.ListSchemasResponse{}
	err := s.look(ctx, r, func(c *mysql.Conn) (err error) {
		answer.Schemas, err = schemas(c)
		return err
	})
	return answer, err
}

// ListColumns returns the column names of one table.
func (s *Service) ListColumns(ctx context.Context, r *replicationv1.ListColumnsRequest) (*replicationv1.ListColumnsResponse, error) {
	answer := &replicationv1.ListColumnsResponse{}
	err := s.look(ctx, r, func(c *mysql.Conn) (err error) {
		answer.Columns, err = columns(c, r.GetMysqlSchema(), r.GetMysqlTable())
		return err
	})
	if err == nil && len(answer.GetColumns()) == 0 {
		at := net.JoinHostPort(r.GetMysqlHost(), strconv.Itoa(int(r.GetMysqlPort())))
		return nil, fault.NotFound("TABLE_NOT_FOUND", "%s has no table %s.%s, or its user %s may not see it", at, r.GetMysqlSchema(), r.GetMysqlTable(), r.GetMysqlUser())
	}
	return answer, err
}

// CheckConnection tries to connect; why it failed is an answer.
func (s *Service) CheckConnection(ctx context.Context, r *replicationv1.CheckConnectionRequest) (*replicationv1.CheckConnectionResponse, error) {
	err := s.look(ctx, r, func(*mysql.Conn) error { return nil })
	if f := fault.From(err); f != nil && (f.Reason == "MYSQL_UNREACHABLE" || f.Reason == "MYSQL_REFUSED") {
		return &replicationv1.CheckConnectionResponse{Message: f.Message}, nil
	}
	if err != nil {
		return nil, err
	}
	return &replicationv1.CheckConnectionResponse{Message: "ok"}, nil
}

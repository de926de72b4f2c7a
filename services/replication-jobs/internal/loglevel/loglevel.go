// Package loglevel changes how much the processes of the installation log.
package loglevel

import (
	"context"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/app"
	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/bus"
	"github.com/opsdeck/opsdeck/pkg/fault"
)

// Service answers LogService.
type Service struct {
	replicationv1.UnimplementedLogServiceServer

	conn *bus.Conn
	log  *zap.Logger
}

// NewService returns the service.
func NewService(conn *bus.Conn, log *zap.Logger) *Service { return &Service{conn: conn, log: log} }

// SetLogLevel tells every process the level.
func (s *Service) SetLogLevel(ctx context.Context, r *replicationv1.SetLogLevelRequest) (*replicationv1.SetLogLevelResponse, error) {
	level, err := levelOf(r.GetDtleLogLevel())
	if err != nil {
		return nil, err
	}
	// A warning, so that every level short of error keeps who did it.
	s.log.Warn("the log level is changed", zap.String("user", authn.FromContext(ctx).Name()), zap.Stringer("level", level))
	if err := app.TellLevel(s.conn, level); err != nil {
		return nil, fault.Unavailable("BUS_UNREACHABLE", "the processes cannot be told now: try again").Wrap(err)
	}
	return &replicationv1.SetLogLevelResponse{DtleLogLevel: level.CapitalString()}, nil
}

func levelOf(word string) (zapcore.Level, error) {
	if strings.EqualFold(word, "trace") {
		return zapcore.DebugLevel, nil
	}
	level, err := zapcore.ParseLevel(word)
	if err != nil {
		return level, fault.Invalid("dtle_log_level", "must be TRACE, DEBUG, INFO, WARN or ERROR")
	}
	return level, nil
}

package app

import (
	"fmt"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/opsdeck/opsdeck/pkg/bus"
)

// levelSubject is where every process hears the level to log at.
const levelSubject = "log.level"

// FollowLevel makes the process log at the level that TellLevel says, for as long as the connection lives. A process that is away then, or
// starts later, logs at the level of its settings.
func (r *Runtime) FollowLevel(conn *bus.Conn) error {
	_, err := conn.OnTold(levelSubject, func(text []byte) {
		level, err := zapcore.ParseLevel(string(text))
		if err != nil {
			r.Log.Error("told to log at a level that does not exist", zap.ByteString("level", text))
			return
		}
		before := r.Level.Level()
		r.Level.SetLevel(level)
		r.Log.Log(min(max(level, zapcore.InfoLevel), zapcore.ErrorLevel), "the log level was changed", zap.Stringer("from", before), zap.Stringer("to", level))
	})
	if err != nil {
		return fmt.Errorf("follow the log level: %w", err)
	}
	return nil
}

// TellLevel makes every process log at a level.
func TellLevel(conn *bus.Conn, level zapcore.Level) error {
	return conn.Tell(levelSubject, []byte(level.String()))
}

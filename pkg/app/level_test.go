package app_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zapcore"

	"github.com/opsdeck/opsdeck/pkg/app"
	"github.com/opsdeck/opsdeck/pkg/bustest"
)

func TestEveryProcessFollowsTheLevel(t *testing.T) {
	t.Parallel()
	server := bustest.Server(t)
	var processes []*app.Runtime
	for range 2 {
		rt, _, err := app.NewRuntime(app.ProcessConfig{LogLevel: "fatal"})
		require.NoError(t, err)
		conn := bustest.Connect(t, server)
		require.NoError(t, rt.FollowLevel(conn))
		require.NoError(t, conn.Health(t.Context()), "the subscription has arrived")
		processes = append(processes, rt)
	}
	teller := bustest.Connect(t, server)
	require.NoError(t, teller.Tell("log.level", []byte("loud")))
	require.NoError(t, app.TellLevel(teller, zapcore.PanicLevel))
	for _, rt := range processes {
		require.Eventually(t, func() bool { return rt.Level.Level() == zapcore.PanicLevel }, time.Minute, time.Millisecond)
	}
}

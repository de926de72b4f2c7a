// Package app is the frame of every process: commands, configuration, log, metrics, traces, signals and the admin port.
package app

import (
	"context"

	"go.uber.org/zap"
)

// Process runs body with a runtime, the admin port and traces around it, until body returns.
func Process(ctx context.Context, cfg ProcessConfig, name string, body func(ctx context.Context, rt *Runtime) error) error {
	rt, registry, err := NewRuntime(cfg)
	if err != nil {
		return err
	}
	spare()
	defer func() { _ = rt.Log.Sync() }() // standard error cannot be synced on every system
	flush, err := startTraces(ctx, name)
	if err != nil {
		return err
	}
	defer flush()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	admin, err := startAdmin(ctx, cfg.AdminAddr, rt, registry)
	if err != nil {
		return err
	}
	defer admin()
	rt.Log.Info("starting", zap.String("program", name), zap.String("version", Version))
	err = body(ctx, rt)
	rt.Log.Info("stopped", zap.Error(err))
	return err
}

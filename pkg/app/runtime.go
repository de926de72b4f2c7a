package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Version is set by the linker.
var Version = "dev"

// ProcessConfig is what every process of opsdeck can be told.
type ProcessConfig struct {
	LogLevel  string `env:"OPSDECK_LOG_LEVEL" envDefault:"info" help:"Least level that is logged: debug, info, warn or error."`
	AdminAddr string `env:"OPSDECK_ADMIN_ADDR" envDefault:"127.0.0.1:8191" help:"Address of metrics, pprof, /healthz and /readyz. Keep it off public networks."`
}

// Runtime is what a service gets from the process it runs in.
type Runtime struct {
	Log     *zap.Logger
	Level   zap.AtomicLevel
	Metrics prometheus.Registerer

	checks *checks
}

// checks are the questions that readiness asks, by name.
type checks struct {
	mu    sync.Mutex
	named map[string]func(context.Context) error
}

// NewRuntime returns a runtime that logs JSON to standard error.
func NewRuntime(cfg ProcessConfig) (*Runtime, *prometheus.Registry, error) {
	level, err := zap.ParseAtomicLevel(cfg.LogLevel)
	if err != nil {
		return nil, nil, fmt.Errorf("OPSDECK_LOG_LEVEL is %q, want debug, info, warn or error", cfg.LogLevel)
	}
	encoder := zap.NewProductionEncoderConfig()
	encoder.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	encoder.EncodeDuration = zapcore.StringDurationEncoder
	core := zapcore.NewCore(zapcore.NewJSONEncoder(encoder), zapcore.Lock(os.Stderr), level)
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	log := zap.New(core)
	return &Runtime{Log: log, Level: level, Metrics: registry, checks: &checks{named: map[string]func(context.Context) error{}}}, registry, nil
}

// For returns the runtime of one service in the process: its log lines and metrics carry its name.
func (r *Runtime) For(service string) *Runtime {
	return &Runtime{
		Log: r.Log.Named(service), Level: r.Level, checks: r.checks,
		Metrics: prometheus.WrapRegistererWith(prometheus.Labels{"service": service}, r.Metrics),
	}
}

// OnReady adds a question to readiness: check returns nil when the named part can do its work.
func (r *Runtime) OnReady(name string, check func(context.Context) error) {
	r.checks.mu.Lock()
	defer r.checks.mu.Unlock()
	r.checks.named[name] = check
}

// Ready asks every question and returns what is not ready, by name.
func (r *Runtime) Ready(ctx context.Context) error {
	r.checks.mu.Lock()
	var names []string
	for name := range r.checks.named {
		names = append(names, name)
	}
	slices.Sort(names)
	var questions []func(context.Context) error
	for _, name := range names {
		questions = append(questions, r.checks.named[name])
	}
	r.checks.mu.Unlock()

	answers := make([]error, len(questions))
	var all sync.WaitGroup
	for i, ask := range questions {
		all.Go(func() {
			if err := ask(ctx); err != nil {
				answers[i] = fmt.Errorf("%s: %w", names[i], err)
			}
		})
	}
	all.Wait()
	return errors.Join(answers...)
}

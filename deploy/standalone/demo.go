package standalone

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/opsdeck/opsdeck/deploy/standalone/internal/demo"
	"github.com/opsdeck/opsdeck/pkg/app"
)

// Start loads the configuration from environment and runs opsdeck until ctx ends.
func Start(ctx context.Context, environment map[string]string) error {
	process, err := app.LoadFrom[app.ProcessConfig](environment)
	if err != nil {
		return err
	}
	cfg, err := app.LoadFrom[Config](environment)
	if err != nil {
		return err
	}
	return app.Process(ctx, process, "opsdeck", func(ctx context.Context, rt *app.Runtime) error {
		return Run(ctx, rt, cfg, environment)
	})
}

// Private runs an opsdeck for a demo or a measurement until ctx ends: quiet, with a known password and captcha, and with
// free ports besides the gateway's.
func Private(ctx context.Context, dir, password, captcha, address string) error {
	if err := os.MkdirAll(dir, 0o711); err != nil { //nolint:gosec // the database server runs as another user and must pass through
		return err
	}
	secret := filepath.Join(dir, "admin-password")
	if err := os.WriteFile(secret, []byte(password), 0o600); err != nil {
		return err
	}
	environment := Environment()
	environment["OPSDECK_DATA"] = dir
	environment["OPSDECK_LOG_LEVEL"] = "error"
	environment["OPSDECK_ADMIN_ADDR"] = "127.0.0.1:0"
	environment["OPSDECK_NATS_ADDR"] = "127.0.0.1:0"
	environment["OPSDECK_GATEWAY_ADDR"] = address
	environment["OPSDECK_AUTH_ADMIN_PASSWORD_FILE"] = secret
	environment["OPSDECK_AUTH_DEMO_CAPTCHA"] = captcha
	if err := Start(ctx, environment); err != nil {
		return fmt.Errorf("opsdeck: %w", err)
	}
	return nil
}

// Demo migrates a live database with an opsdeck of its own and compares checksums, telling its story to out.
func Demo(ctx context.Context, out io.Writer, address string) error {
	return demo.Run(ctx, out, address, Private)
}

// Command auth runs the auth service alone in its process.
package main

import (
	"github.com/spf13/cobra"

	"github.com/opsdeck/opsdeck/pkg/app"

	"github.com/opsdeck/opsdeck/services/auth"
)

func main() {
	commands := []*cobra.Command{app.Serve("auth", auth.Run), app.Migrate(auth.Migrate), app.Config[auth.Config]()}
	app.Main("auth", "tenants, users, sessions and the tokens that all services trust",
		append(commands, auth.Commands(auth.FromEnvironment)...)...)
}

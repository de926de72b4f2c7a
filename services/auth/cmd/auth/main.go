// Command auth runs the auth service alone in its process.
package main

import (
	"github.com/opsdeck/opsdeck/pkg/app"

	"github.com/opsdeck/opsdeck/services/auth"
)

func main() {
	app.Main("auth", "tenants, users, sessions and the tokens that all services trust",
		app.Serve("auth", auth.Run), app.Migrate(auth.Migrate), app.Config[auth.Config]())
}

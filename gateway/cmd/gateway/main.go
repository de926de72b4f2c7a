// Command gateway serves the HTTP API of opsdeck.
package main

import (
	"github.com/opsdeck/opsdeck/pkg/app"

	"github.com/opsdeck/opsdeck/gateway"
)

func main() {
	app.Main("gateway", "the HTTP API of opsdeck",
		app.Serve("gateway", gateway.Run), app.Config[gateway.Config]())
}

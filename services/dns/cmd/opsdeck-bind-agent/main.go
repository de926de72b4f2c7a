// Command opsdeck-bind-agent runs beside named and adds and removes zones for the dns service.
package main

import (
	"github.com/opsdeck/opsdeck/pkg/app"

	"github.com/opsdeck/opsdeck/services/dns/bindagent"
)

func main() {
	app.Main("opsdeck-bind-agent", "runs beside BIND's named and adds, removes and lists zones for the dns service",
		app.Serve("bind-agent", bindagent.Run), app.Config[bindagent.Config]())
}

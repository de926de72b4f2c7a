// Command dns runs the dns service alone in its process.
package main

import (
	"github.com/opsdeck/opsdeck/pkg/app"

	dns "github.com/opsdeck/opsdeck/services/dns"
)

func main() {
	app.Main("dns", "zones and records on BIND and PowerDNS servers, changed safely",
		app.Serve("dns", dns.Run), app.Migrate(dns.Migrate), app.Config[dns.Config]())
}

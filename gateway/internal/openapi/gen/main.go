// Command gen writes the API document of the gateway: the routes and messages of the .proto files as the dialects put them on
// the wire. Comments come from the Swagger file that protoc-gen-openapiv2 makes: generated Go has none. Run it in the
// gateway's module.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/opsdeck/opsdeck/gateway"
)

func main() {
	comments := flag.String("comments", "../proto/gen/openapi/opsdeck.swagger.json", "Swagger file to take comments from")
	out := flag.String("out", "internal/openapi/opsdeck.json", "file to write")
	flag.Parse()
	if err := run(*comments, *out); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(comments, out string) error {
	document, err := build(comments, gateway.Services()...)
	if err != nil {
		return err
	}
	if err := os.WriteFile(out, document, 0o644); err != nil { //nolint:gosec // a source file, readable like the others
		return fmt.Errorf("write the document: %w", err)
	}
	return nil
}

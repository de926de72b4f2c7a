// Package openapi holds the API document: OpenAPI 3.0 of what really travels over HTTP, envelopes included.
package openapi

import _ "embed"

// Document is the API document. "go run ./internal/openapi/gen" in the gateway's module makes it from the .proto files and the
// rules of the dialects.
//
//go:embed opsdeck.json
var Document []byte

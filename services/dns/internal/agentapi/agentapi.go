// Package agentapi is what the driver of BIND and opsdeck-bind-agent say to each other, as JSON over HTTP, with a bearer token.
//
//	GET    /v1/server        Server
//	GET    /v1/zones         Zones
//	POST   /v1/zones         NewZone: 201, 409 when there is one
//	GET    /v1/zones/{name}  Zone: 200, 404
//	DELETE /v1/zones/{name}  204, also when there is none
//
// Refusals are Refusal with 4xx; 503 says that named did not answer.
package agentapi

// MaxBody is the largest request, in bytes.
const MaxBody = 32 << 20

// Server describes the named beside the agent.
type Server struct {
	Version string `json:"version"`  // as named says it: "9.18.49-1~deb12u3-Debian"
	DNSPort int    `json:"dns_port"` // where it answers DNS, on the host of the agent
	TSIGKey string `json:"tsig_key"` // canonical name of the key that may update and transfer
}

// Zones lists the zones that named is primary for.
type Zones struct {
	Names []string `json:"zones"` // canonical
}

// NewZone asks for a zone.
type NewZone struct {
	Name    string `json:"name"`    // canonical
	Content string `json:"content"` // master file with full names; $INCLUDE is refused
}

// Zone describes a zone of named.
type Zone struct {
	Name          string `json:"name"`
	Configuration string `json:"configuration"` // its clause of named.conf
}

// Refusal is the body of every answer that is not 2xx.
type Refusal struct {
	Error string `json:"error"`
}

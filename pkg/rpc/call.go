// Package rpc is how services speak gRPC: one server with one list of interceptors, and one client that carries the caller
// along.
package rpc

import (
	"context"
	"crypto/rand"
	"net"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
)

// Metadata keys that travel with every call.
const (
	authorizationKey = "authorization"
	requestIDKey     = "x-request-id"
	addressKey       = "x-client-address"
	agentKey         = "x-client-agent-bin" // bytes: what clients call themselves need not be ASCII
)

// maxRequestID bounds an id that a caller chose: it stands in every log line.
const maxRequestID = 64

// maxAgent bounds what a client may call itself, in bytes.
const maxAgent = 256

// Call is what is known about a call besides its request.
type Call struct {
	RequestID string     // chosen by the caller or made here
	Address   netip.Addr // of the client; invalid when it cannot be told
	Agent     string     // what the client calls itself; nobody checks it
	token     string     // the caller's token, to be sent along
}

// AddressText returns the client's address as text; empty when it cannot be told.
func (c Call) AddressText() string {
	if !c.Address.IsValid() {
		return ""
	}
	return c.Address.String()
}

type callKey struct{}

// FromContext returns what is known about the call being served; the zero Call outside one.
func FromContext(ctx context.Context) Call {
	c, _ := ctx.Value(callKey{}).(Call)
	return c
}

// WithCall returns a context whose outgoing calls belong to c.
func WithCall(ctx context.Context, c Call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

// incoming reads the metadata of a call. The client's address is believed only from gateways that are trusted: anybody else
// could write any address to get around limits.
func incoming(ctx context.Context, trusted []netip.Prefix) Call {
	md, _ := metadata.FromIncomingContext(ctx)
	c := Call{RequestID: first(md, requestIDKey)}
	if c.RequestID == "" || len(c.RequestID) > maxRequestID || strings.ContainsFunc(c.RequestID, unprintable) {
		c.RequestID = NewRequestID()
	}
	if _, token, ok := strings.Cut(first(md, authorizationKey), " "); ok {
		c.token = strings.TrimSpace(token)
	}
	p, ok := peer.FromContext(ctx)
	if !ok || p.Addr == nil {
		return c
	}
	from, isIP := peerAddress(p.Addr)
	c.Address = from
	if !isIP || isTrusted(from, trusted) {
		if told, err := netip.ParseAddr(first(md, addressKey)); err == nil {
			c.Address = told.Unmap()
		}
		c.Agent = Agent(first(md, agentKey))
	}
	return c
}

// Agent returns what of a client's name for itself is fit to be kept: printable, and at most 256 bytes.
func Agent(told string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) && c != utf8.RuneError {
			return c
		}
		return -1
	}, told[:min(len(told), maxAgent)])
}

// NewRequestID returns a random id.
func NewRequestID() string { return rand.Text() }

func unprintable(r rune) bool { return r < '!' || r > '~' }

func first(md metadata.MD, key string) string {
	if values := md.Get(key); len(values) > 0 {
		return values[0]
	}
	return ""
}

// peerAddress returns false for a unix socket, which only this machine's trusted processes can open.
func peerAddress(addr net.Addr) (netip.Addr, bool) {
	ap, err := netip.ParseAddrPort(addr.String())
	return ap.Addr().Unmap(), err == nil
}

func isTrusted(from netip.Addr, trusted []netip.Prefix) bool {
	for _, prefix := range trusted {
		if prefix.Contains(from) {
			return true
		}
	}
	return false
}

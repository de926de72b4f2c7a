package rpc

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

// reconnect keeps callers from waiting for a service that is back: gRPC's own pauses grow to two minutes.
var reconnect = backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second}

const connectTimeout = 5 * time.Second

// TokenSource supplies the token of a service that calls in its own name.
type TokenSource interface {
	Token(ctx context.Context) (string, error)
}

// ClientConfig is what a connection needs to know.
type ClientConfig struct {
	Target     string                           // unix:///path or host:port
	TLS        credentials.TransportCredentials // nil: no TLS, for unix sockets and loopback
	Identity   TokenSource                      // nil: calls carry the token of the call being served
	MaxMessage int                              // bytes of one request or answer
}

// Dial returns a connection whose calls carry the request id and the caller of the context. It connects when first used.
func Dial(cfg ClientConfig) (*grpc.ClientConn, error) {
	creds := cfg.TLS
	if creds == nil {
		creds = insecure.NewCredentials()
	}
	carry := carrier{identity: cfg.Identity}
	conn, err := grpc.NewClient(cfg.Target,
		grpc.WithTransportCredentials(creds),
		grpc.WithStatsHandler(otelgrpc.NewClientHandler()),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: reconnect, MinConnectTimeout: connectTimeout}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(cfg.MaxMessage), grpc.MaxCallSendMsgSize(cfg.MaxMessage)),
		grpc.WithUnaryInterceptor(carry.unary), grpc.WithStreamInterceptor(carry.stream))
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", cfg.Target, err)
	}
	return conn, nil
}

type carrier struct{ identity TokenSource }

func (c carrier) outgoing(ctx context.Context) (context.Context, error) {
	call := FromContext(ctx)
	token := call.token
	if c.identity != nil {
		own, err := c.identity.Token(ctx)
		if err != nil {
			return nil, err
		}
		token = own
	}
	var pairs []string
	if token != "" {
		pairs = append(pairs, authorizationKey, "Bearer "+token)
	}
	if call.RequestID != "" {
		pairs = append(pairs, requestIDKey, call.RequestID)
	}
	if call.Address.IsValid() {
		pairs = append(pairs, addressKey, call.Address.String())
	}
	if call.Agent != "" {
		pairs = append(pairs, agentKey, call.Agent)
	}
	return metadata.AppendToOutgoingContext(ctx, pairs...), nil
}

func (c carrier) unary(ctx context.Context, method string, request, answer any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	ctx, err := c.outgoing(ctx)
	if err != nil {
		return err
	}
	return invoke(ctx, method, request, answer, conn, opts...)
}

func (c carrier) stream(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	ctx, err := c.outgoing(ctx)
	if err != nil {
		return nil, err
	}
	return open(ctx, desc, conn, method, opts...)
}

// WithToken returns a call that carries a token, for the edge where calls begin.
func (c Call) WithToken(token string) Call {
	c.token = token
	return c
}

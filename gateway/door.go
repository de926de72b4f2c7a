package gateway

import (
	"fmt"
	"net/http"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"

	"github.com/opsdeck/opsdeck/gateway/internal/exchange"
	"github.com/opsdeck/opsdeck/gateway/internal/relay"
)

// doorOf returns what refuses strangers. Pages of the origins that may call from a browser may also send what it sends on its own accord.
func doorOf(cfg Config, keys authn.KeySource, credentials authv1.ExchangeServiceClient) (relay.Door, error) {
	invited := http.NewCrossOriginProtection()
	for _, origin := range cfg.Origins {
		if err := invited.AddTrustedOrigin(origin); err != nil {
			return relay.Door{}, fmt.Errorf("OPSDECK_GATEWAY_CORS_ORIGINS: %w", err)
		}
	}
	return relay.Door{
		Verifier: authn.NewVerifier(keys), Exchanger: exchange.New(credentials), CrossOrigin: invited, TLS: cfg.CertFile != "",
	}, nil
}

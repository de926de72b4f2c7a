package signing

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/fault"
)

// serviceTokenLife is short because the secret that renews the token is always at hand.
const serviceTokenLife = 15 * time.Minute

// Server serves the KeyService.
type Server struct {
	authv1.UnimplementedKeyServiceServer

	keys     *Keys
	services Services
}

// NewServer returns the KeyService of these keys and services.
func NewServer(keys *Keys, services Services) *Server { return &Server{keys: keys, services: services} }

// ListSigningKeys implements the KeyService.
func (s *Server) ListSigningKeys(ctx context.Context, _ *authv1.ListSigningKeysRequest) (*authv1.ListSigningKeysResponse, error) {
	keys, err := s.keys.listed(ctx)
	if err != nil {
		return nil, err
	}
	answer := &authv1.ListSigningKeysResponse{}
	for _, key := range keys {
		answer.Keys = append(answer.Keys, &authv1.SigningKey{
			Id: key.ID, PublicKey: key.Public, CreateTime: timestamppb.New(key.Created),
		})
	}
	return answer, nil
}

// IssueServiceToken implements the KeyService.
func (s *Server) IssueServiceToken(ctx context.Context, r *authv1.IssueServiceTokenRequest) (*authv1.IssueServiceTokenResponse, error) {
	if !s.services.know(r.GetService(), r.GetSecret()) {
		return nil, fault.Unauthenticated("SERVICE_UNKNOWN", "no service %q with this secret: compare it with the service key file of auth", r.GetService())
	}
	issued := s.keys.now()
	expires := issued.Add(serviceTokenLife)
	token, err := s.keys.Sign(ctx, authn.Principal{Service: r.GetService()}, issued, expires)
	if err != nil {
		return nil, err
	}
	return &authv1.IssueServiceTokenResponse{Token: token, ExpireTime: timestamppb.New(expires)}, nil
}

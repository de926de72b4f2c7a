package oidc

import (
	"cmp"
	"context"

	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"
	eventv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/event/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/fault"

	"github.com/opsdeck/opsdeck/services/auth/internal/change"
)

const (
	maxProviders = 50  // of one tenant
	maxListed    = 500 // identities in one answer

	usernameClaim = "preferred_username" // OpenID Connect Core 1.0, 5.1
)

// ListOidcProviders implements the OidcService.
func (s *Server) ListOidcProviders(ctx context.Context, r *authv1.ListOidcProvidersRequest) (*authv1.ListOidcProvidersResponse, error) {
	answer := &authv1.ListOidcProvidersResponse{}
	tenant := cmp.Or(r.GetTenant(), authn.FromContext(ctx).Tenant)
	err := s.cfg.Changes.In(ctx, tenant, func(ctx context.Context, c *change.Change) error {
		providers, err := list(ctx, c.Tx, tenant)
		for _, p := range providers {
			answer.Providers = append(answer.Providers, &authv1.OidcProvider{
				Tenant: p.Tenant, Name: p.Name, Issuer: p.Issuer, ClientId: p.ClientID, Scopes: p.Scopes, UsernameClaim: p.UsernameClaim,
				CreateUsers: p.RoleID != nil, Role: p.Role, Enabled: p.Enabled, RedirectUri: s.redirectURI(),
			})
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// CreateOidcProvider implements the OidcService.
func (s *Server) CreateOidcProvider(ctx context.Context, r *authv1.CreateOidcProviderRequest) (*authv1.CreateOidcProviderResponse, error) {
	err := s.cfg.Changes.In(ctx, r.GetTenant(), func(ctx context.Context, c *change.Change) error {
		if err := checkIssuer(r.GetIssuer()); err != nil {
			return fault.Invalid("issuer", "%v", err)
		}
		if n, err := count(ctx, c); err != nil || n >= maxProviders {
			return cmp.Or(err, error(fault.Exhausted("TOO_MANY_PROVIDERS", "tenant %s has %d providers already", c.Tenant.Name, maxProviders)))
		}
		p := provider{Tenant: c.Tenant.Name, Name: r.GetName(), Issuer: r.GetIssuer(), Enabled: true}
		if err := s.set(ctx, c, &p, r); err != nil {
			return err
		}
		var err error
		if p.Secret, err = s.cfg.Sealer.Seal([]byte(r.GetClientSecret()), p.sealedFor()); err != nil {
			return err
		}
		if err := insert(ctx, c, p); err != nil {
			return err
		}
		return record(ctx, c, "created", p, nil, p.audited(true))
	})
	if err != nil {
		return nil, err
	}
	return &authv1.CreateOidcProviderResponse{}, nil
}

// UpdateOidcProvider implements the OidcService.
func (s *Server) UpdateOidcProvider(ctx context.Context, r *authv1.UpdateOidcProviderRequest) (*authv1.UpdateOidcProviderResponse, error) {
	err := s.cfg.Changes.In(ctx, r.GetTenant(), func(ctx context.Context, c *change.Change) error {
		before, err := find(ctx, c, r.GetName())
		if err != nil {
			return err
		}
		after := before
		after.Enabled = r.GetEnabled()
		if err := s.set(ctx, c, &after, r); err != nil {
			return err
		}
		if r.ClientSecret != nil {
			if after.Secret, err = s.cfg.Sealer.Seal([]byte(r.GetClientSecret()), after.sealedFor()); err != nil {
				return err
			}
		}
		if err := update(ctx, c, after); err != nil {
			return err
		}
		return record(ctx, c, "updated", after, before.audited(false), after.audited(r.ClientSecret != nil))
	})
	if err != nil {
		return nil, err
	}
	return &authv1.UpdateOidcProviderResponse{}, nil
}

// settings are what can be changed about a provider.
type settings interface {
	GetClientId() string
	GetScopes() []string
	GetUsernameClaim() string
	GetCreateUsers() bool
	GetRole() string
}

func (s *Server) set(ctx context.Context, c *change.Change, p *provider, r settings) (err error) {
	if r.GetCreateUsers() != (r.GetRole() != "") {
		return fault.Invalid("role", "goes with create_users: the users that are made have it")
	}
	p.ClientID, p.Scopes, p.UsernameClaim, p.Role = r.GetClientId(), r.GetScopes(), cmp.Or(r.GetUsernameClaim(), usernameClaim), r.GetRole()
	if len(p.Scopes) == 0 {
		p.Scopes = []string{"profile", "email"}
	}
	p.RoleID, err = roleID(ctx, c, r.GetRole())
	return err
}

// DeleteOidcProvider implements the OidcService.
func (s *Server) DeleteOidcProvider(ctx context.Context, r *authv1.DeleteOidcProviderRequest) (*authv1.DeleteOidcProviderResponse, error) {
	err := s.cfg.Changes.In(ctx, r.GetTenant(), func(ctx context.Context, c *change.Change) error {
		p, err := find(ctx, c, r.GetName())
		if err != nil {
			return err
		}
		if err := remove(ctx, c, p); err != nil {
			return err
		}
		return record(ctx, c, "deleted", p, p.audited(false), nil)
	})
	if err != nil {
		return nil, err
	}
	return &authv1.DeleteOidcProviderResponse{}, nil
}

// ListOidcIdentities implements the OidcService.
func (s *Server) ListOidcIdentities(ctx context.Context, r *authv1.ListOidcIdentitiesRequest) (*authv1.ListOidcIdentitiesResponse, error) {
	answer := &authv1.ListOidcIdentitiesResponse{}
	err := s.cfg.Changes.In(ctx, r.GetTenant(), func(ctx context.Context, c *change.Change) error {
		p, err := find(ctx, c, r.GetProvider())
		if err != nil {
			return err
		}
		all, err := identities(ctx, c.Tx, p.ID, r.GetOffset())
		for _, i := range all {
			answer.Identities = append(answer.Identities, &authv1.OidcIdentity{
				Subject: i.Subject, Username: i.Username, MadeUser: i.MadeUser, CreateTime: timestamppb.New(i.Created),
			})
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// LinkOidcIdentity implements the OidcService.
func (s *Server) LinkOidcIdentity(ctx context.Context, r *authv1.LinkOidcIdentityRequest) (*authv1.LinkOidcIdentityResponse, error) {
	err := s.cfg.Changes.In(ctx, r.GetTenant(), func(ctx context.Context, c *change.Change) error {
		p, err := find(ctx, c, r.GetProvider())
		if err != nil {
			return err
		}
		id, username, err := userID(ctx, c, r.GetUsername())
		if err != nil {
			return err
		}
		if err := link(ctx, c.Tx, p.ID, r.GetSubject(), id, false, c.Now); err != nil {
			return err
		}
		return record(ctx, c, "updated", p, nil, map[string]string{"linked": r.GetSubject(), "username": username})
	})
	if err != nil {
		return nil, err
	}
	return &authv1.LinkOidcIdentityResponse{}, nil
}

// UnlinkOidcIdentity implements the OidcService.
func (s *Server) UnlinkOidcIdentity(ctx context.Context, r *authv1.UnlinkOidcIdentityRequest) (*authv1.UnlinkOidcIdentityResponse, error) {
	err := s.cfg.Changes.In(ctx, r.GetTenant(), func(ctx context.Context, c *change.Change) error {
		p, err := find(ctx, c, r.GetProvider())
		if err != nil {
			return err
		}
		username, err := unlink(ctx, c, p, r.GetSubject())
		if err != nil {
			return err
		}
		return record(ctx, c, "updated", p, map[string]string{"linked": r.GetSubject(), "username": username}, nil)
	})
	if err != nil {
		return nil, err
	}
	return &authv1.UnlinkOidcIdentityResponse{}, nil
}

// audited is a provider as the audit shows it.
type audited struct {
	Issuer        string   `json:"issuer"`
	ClientID      string   `json:"client_id"`
	Secret        string   `json:"client_secret,omitempty"` // never the secret: whether it changed
	Scopes        []string `json:"scopes"`
	UsernameClaim string   `json:"username_claim"`
	Role          string   `json:"role,omitempty"`
	Enabled       bool     `json:"enabled"`
}

func (p provider) audited(secret bool) audited {
	a := audited{Issuer: p.Issuer, ClientID: p.ClientID, Scopes: p.Scopes, UsernameClaim: p.UsernameClaim, Role: p.Role, Enabled: p.Enabled}
	if secret {
		a.Secret = "changed"
	}
	return a
}

func record(ctx context.Context, c *change.Change, verb string, p provider, before, after any) error {
	return c.Record(ctx, change.Entry{
		Action: "oidc_provider." + verb, Subject: p.Tenant + ":" + p.Name, Before: before, After: after,
		Event: &eventv1.OidcProviderChanged{Tenant: p.Tenant, Name: p.Name, ChangedBy: c.By.Principal().Name()},
	})
}

package token

import (
	"context"
	"crypto/rand"

	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"
	eventv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/event/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/rpc"

	"github.com/opsdeck/opsdeck/services/auth/internal/bearer"
	"github.com/opsdeck/opsdeck/services/auth/internal/change"
)

// make stores a new token with its session, writes it down, and returns its value. Errors: TOKEN_LIMIT, ABOVE_TOKEN.
func (s *Server) make(ctx context.Context, c *change.Change, made *row) (value string, err error) {
	if err := s.allowed(ctx, c, *made); err != nil {
		return "", err
	}
	value = bearer.New(made.Kind)
	made.Session, made.Hint, made.Created = rand.Text(), bearer.Mask(value), c.Now
	if s.cfg.ReadBack {
		if made.Sealed, err = s.cfg.Sealer.Seal([]byte(value), sealedFor(made.Session)); err != nil {
			return "", err
		}
	}
	hash, address := s.cfg.Sealer.MAC(value, made.Kind.Place()), rpc.FromContext(ctx).AddressText()
	if err := insertSession(ctx, c, *made, hash, address); err != nil {
		return "", err
	}
	if made.ID, err = insert(ctx, c, *made); err != nil {
		return "", err
	}
	return value, record(ctx, c, "created", nil, made)
}

// allowed refuses a token too many, and one that is good for more than the token that makes it: otherwise a limit would be worth
// nothing to whoever finds the limited one.
func (s *Server) allowed(ctx context.Context, c *change.Change, wanted row) error {
	n, err := count(ctx, c, wanted)
	if err != nil {
		return err
	}
	if n >= s.cfg.PerUser {
		return fault.Exhausted("TOKEN_LIMIT", "%s has %d of them, the most that one user can have: remove one first", wanted.Username, n).
			Chinese("%s 已有 %d 个，达到每个用户的上限，请先删除一个", wanted.Username, n)
	}
	own, err := limitsOfSession(ctx, c, authn.FromContext(ctx).Session)
	if err != nil {
		return err
	}
	if !wanted.within(own) {
		return fault.Denied("ABOVE_TOKEN", "the token that you call with is limited (%s): what it makes must not be less limited", own.words()).
			Chinese("当前调用所用的令牌有限制（%s），由它创建的令牌不能更宽", own.words())
	}
	return nil
}

// audited is a token as the audit shows it, without any of its value.
type audited struct {
	Name        string   `json:"name"`
	Description string   `json:"description"`
	User        string   `json:"user"`
	ReadOnly    bool     `json:"read_only"`
	Scopes      []string `json:"scopes"`
	Networks    []string `json:"networks"`
	Expires     any      `json:"expires"`
}

func (r *row) audited() any {
	if r == nil {
		return nil
	}
	return &audited{
		Name: r.Name, Description: r.Description, User: r.user(), ReadOnly: r.ReadOnly, Scopes: r.Scopes, Networks: r.networks(),
		Expires: r.Expires,
	}
}

func record(ctx context.Context, c *change.Change, verb string, before, after *row) error {
	known := after
	if known == nil {
		known = before
	}
	noun := "token"
	if known.Kind == bearer.AppKey {
		noun = "app_key"
	}
	return c.Record(ctx, change.Entry{
		Action: noun + "." + verb, Subject: known.subject(), Before: before.audited(), After: after.audited(), Detail: detail(before, after),
		Event: &eventv1.TokenChanged{Tenant: known.Tenant, Username: known.Username, Name: known.Name, ChangedBy: c.By.Principal().Name()},
	})
}

// detail says in words what was done.
func detail(before, after *row) string {
	switch {
	case before == nil:
		return after.what() + " made for " + after.user() + ", " + after.words()
	case after == nil:
		return before.what() + " of " + before.user() + " removed"
	case before.Name != after.Name:
		return before.what() + " of " + before.user() + " renamed from " + before.Name + " to " + after.Name
	}
	return before.what() + " of " + before.user() + " described anew"
}

func (r row) what() string {
	if r.Kind == bearer.AppKey {
		return "app key"
	}
	return "API token"
}

// token shows an API token with as much of its value as is given.
func (r row) token(value string) *authv1.Token {
	return &authv1.Token{
		Id: r.ID, Name: r.Name, Value: value, Description: r.Description, Creator: r.Username, ReadOnly: r.ReadOnly, Scopes: r.Scopes,
		AllowedNetworks: r.networks(), CreatedTime: timestamppb.New(r.Created), ExpireTime: r.expireTime(), LastUsedTime: timestampOf(r.Seen),
	}
}

// appKey shows an app key with as much of it as is given.
func (r row) appKey(value string) *authv1.AppKey {
	return &authv1.AppKey{
		Id: r.ID, Appname: r.Name, Appkey: value, Description: r.Description, User: r.user(), ReadOnly: r.ReadOnly, Scopes: r.Scopes,
		AllowedNetworks: r.networks(), CreatedTime: timestamppb.New(r.Created), ExpireTime: r.expireTime(), LastUsedTime: timestampOf(r.Seen),
	}
}

package grant

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/page"
	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/auth/internal/change"
)

// levelPages are for programs.
var levelPages = page.Limits{Default: 100, Max: 1000}

// SetTreeLevel implements the TreeLevelService.
func (s *Server) SetTreeLevel(ctx context.Context, r *authv1.SetTreeLevelRequest) (*authv1.SetTreeLevelResponse, error) {
	wanted := r.GetLevel()
	to := target{change.ToUser, wanted.GetUserId()}
	if wanted.GetRoleId() != 0 {
		to = target{change.ToRole, wanted.GetRoleId()}
	}
	err := s.change(ctx, to, func(ctx context.Context, c *change.Change) error {
		if err := c.ByAdmin(); err != nil {
			return denied(c, err)
		}
		names, err := namesOf(ctx, c, to.Type, []int64{to.ID})
		if err != nil {
			return err
		}
		before, err := setLevel(ctx, c, to, wanted.GetNodeId(), wanted.GetLevel())
		if err != nil || before == wanted.GetLevel() {
			return err
		}
		return c.RecordLevel(ctx, to.Type, names[to.ID], audited(wanted.GetNodeId(), before), audited(wanted.GetNodeId(), wanted.GetLevel()))
	})
	if err != nil {
		return nil, err
	}
	return &authv1.SetTreeLevelResponse{}, nil
}

// audited is a level as the audit shows it.
func audited(node int64, level int32) any {
	return struct {
		NodeID int64 `json:"node_id"`
		Level  int32 `json:"level"`
	}{node, level}
}

// setLevel returns the level that was there before; 0 for none.
func setLevel(ctx context.Context, c *change.Change, to target, node int64, level int32) (before int32, err error) {
	userID, roleID := to.columns()
	err = c.Tx.QueryRow(ctx, `
		DELETE FROM auth.tree_levels WHERE (user_id = $1 OR role_id = $2) AND node_id = $3 RETURNING level`, userID, roleID, node).Scan(&before)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return 0, pg.Fault(err, "TREE_LEVEL", "take a level")
	}
	if level == 0 {
		return before, nil
	}
	_, err = c.Tx.Exec(ctx, `INSERT INTO auth.tree_levels (user_id, role_id, node_id, level) VALUES ($1, $2, $3, $4)`, userID, roleID, node, level)
	return before, pg.Fault(err, "TREE_LEVEL", "give a level")
}

type levelRow struct {
	UserID *int64 `db:"user_id"`
	RoleID *int64 `db:"role_id"`
	NodeID int64  `db:"node_id"`
	Level  int32  `db:"level"`
}

// levelKey is where a page of levels ends.
type levelKey struct {
	Node int64 `json:"n"`
	User int64 `json:"u"` // 0 for a role's
	Role int64 `json:"r"`
}

func (l levelRow) key() levelKey {
	k := levelKey{Node: l.NodeID}
	if l.UserID != nil {
		k.User = *l.UserID
	} else {
		k.Role = *l.RoleID
	}
	return k
}

func (l levelRow) toProto() *authv1.TreeLevel {
	level := &authv1.TreeLevel{NodeId: l.NodeID, Level: l.Level}
	if l.UserID != nil {
		level.Target = &authv1.TreeLevel_UserId{UserId: *l.UserID}
	} else {
		level.Target = &authv1.TreeLevel_RoleId{RoleId: *l.RoleID}
	}
	return level
}

// ListTreeLevels implements the TreeLevelService.
func (s *Server) ListTreeLevels(ctx context.Context, r *authv1.ListTreeLevelsRequest) (*authv1.ListTreeLevelsResponse, error) {
	const scope = "tree-levels"
	after, ok, err := page.After[levelKey](scope, r.GetPageToken())
	if err != nil {
		return nil, err
	}
	if !ok {
		after.Node = -1
	}
	size := levelPages.Size(r.GetPageSize())
	caller := authn.FromContext(ctx)
	rows, _ := s.changes.Pool.Query(ctx, `
		SELECT l.user_id, l.role_id, l.node_id, l.level
		  FROM auth.tree_levels l
		  LEFT JOIN auth.users u ON u.id = l.user_id
		  LEFT JOIN auth.roles r ON r.id = l.role_id
		  JOIN auth.tenants t ON t.id = coalesce(u.tenant_id, r.tenant_id)
		 WHERE ($1 OR t.name = $2) AND ($3 = 0 OR l.user_id = $3) AND ($4 = 0 OR l.role_id = $4) AND ($5::bigint IS NULL OR l.node_id = $5)
		   AND (l.node_id, coalesce(l.user_id, 0), coalesce(l.role_id, 0)) > ($6, $7, $8)
		 ORDER BY l.node_id, coalesce(l.user_id, 0), coalesce(l.role_id, 0)
		 LIMIT $9`, caller.IsPlatform(), caller.Tenant, r.GetUserId(), r.GetRoleId(), r.NodeId,
		after.Node, after.User, after.Role, size+1) // the error comes again below
	levels, err := pgx.CollectRows(rows, pgx.RowToStructByName[levelRow])
	if err != nil {
		return nil, pg.Fault(err, "TREE_LEVEL", "list levels")
	}
	answer := &authv1.ListTreeLevelsResponse{}
	levels, answer.NextPageToken, err = page.Cut(scope, levels, size, levelRow.key)
	for _, l := range levels {
		answer.Levels = append(answer.Levels, l.toProto())
	}
	return answer, err
}

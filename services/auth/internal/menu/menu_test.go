package menu_test

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/opsdeck/opsdeck/pkg/fault"

	"github.com/opsdeck/opsdeck/services/auth/internal/menu"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is the authority of the documents' example of role creation.
const node = `[{"name":"service","text_cn":"服务","text_en":"service","menu_level":1,"menu_url":"","id":1,"parent_id":0,"operations":[]},` +
	`{"name":"platform","menu_level":1,"id":5,"operations":[]},` +
	`{"name":"node","menu_level":2,"menu_url":"/node","id":6,"parent_id":5,"operations":[{"action":"node-list","uri":"/v2/nodes"}]}]`

func TestCatalogueIsWhole(t *testing.T) {
	t.Parallel()
	ids, uris := map[int32]bool{}, map[string]bool{}
	for _, item := range menu.All() {
		require.False(t, ids[item.ID], item.Name)
		ids[item.ID] = true
		require.True(t, item.MenuLevel == 1 || ids[item.ParentID], "%s has a parent", item.Name)
		require.True(t, item.TextCN != "" && item.TextEN != "", item.Name)
		for _, o := range item.Operations {
			require.False(t, uris[o.URI], o.URI)
			uris[o.URI] = true
			require.True(t, o.TextCN != "" && o.TextEN != "", o.Action)
			require.Equal(t, o.Action, menu.ActionOf(o.URI))
		}
	}
	require.Len(t, ids, 8)
	require.Empty(t, menu.ActionOf("/v2/log/level"))
	actions, err := menu.Parse(menu.Authority())
	require.NoError(t, err)
	require.Len(t, actions, len(uris))
}

func TestCatalogueIsTheDocumentedOne(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("catalogue.json")
	require.NoError(t, err)
	require.JSONEq(t, string(text), menu.Authority(), "printing loses nothing")
}

func TestParse(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, authority, reason, text string }{
		{"no JSON", `nonsense`, "INVALID_REQUEST", "JSON text of an array"},
		{"no array", `{"name":"node"}`, "INVALID_REQUEST", "JSON text of an array"},
		{"unknown menu", `[{"name":"nodes"}]`, "ACTION_UNKNOWN", `authority[0].name: there is no menu "nodes"`},
		{"unknown action", `[{"name":"node","operations":[{"action":"node-drop","uri":"/v2/nodes"}]}]`, "ACTION_UNKNOWN", `"node-drop"`},
		{"another uri", `[{"name":"node","operations":[{"action":"node-list","uri":"/v2/user/delete"}]}]`, "ACTION_UNKNOWN", `"/v2/user/delete"`},
		{"another menu's action", `[{"name":"node","operations":[{"action":"user-list","uri":"/v2/user/list"}]}]`, "ACTION_UNKNOWN", `"user-list"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := menu.Parse(test.authority)
			require.True(t, fault.Is(err, test.reason), "%v", err)
			require.ErrorContains(t, err, test.text)
		})
	}
	actions, err := menu.Parse(node)
	require.NoError(t, err)
	require.Equal(t, []string{"node-list"}, actions)
	actions, err = menu.Parse("[]")
	require.NoError(t, err)
	require.Empty(t, actions)
}

func TestSelect(t *testing.T) {
	t.Parallel()
	items, err := menu.Select(node)
	require.NoError(t, err)
	var names []string
	for _, item := range items {
		names = append(names, item.Name)
	}
	require.Equal(t, []string{"service", "platform", "node"}, names)
	require.Equal(t, "获取节点列表", items[2].Operations[0].TextCN, "texts are the catalogue's")
}

func FuzzParse(f *testing.F) {
	f.Add(node)
	f.Add(menu.Authority())
	f.Add(`[{"name":"node","operations":[null]}]`)
	f.Fuzz(func(t *testing.T, text string) {
		actions, err := menu.Parse(text)
		if err != nil {
			require.NotNil(t, fault.From(err))
			return
		}
		require.True(t, json.Valid([]byte(text)))
		items, err := menu.Select(text)
		require.NoError(t, err)
		selected := map[string]bool{}
		for _, item := range items {
			for _, o := range item.Operations {
				selected[o.Action] = true
			}
		}
		for action := range selected {
			require.Contains(t, actions, action)
		}
	})
}

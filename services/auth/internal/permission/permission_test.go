package permission

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/opsdeck/opsdeck/pkg/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The catalogue is data that programs and people rely on: what it refers to must be in it, and no name may mean two things.
func TestCatalogueIsConsistent(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, m := range Modules() {
		require.NotContains(t, names, m.Name)
		names[m.Name], names[m.TextCN] = true, true
		requireDistinct(t, m.Permissions)
		for _, p := range m.Permissions {
			require.NotEmpty(t, p.TextCN, p.Name)
			require.NotEmpty(t, p.TextEN, p.Name)
			require.Empty(t, p.By, p.Name)
			if p.Needs != "" {
				needed, ok := m.Permission(p.Needs)
				require.True(t, ok, p.Needs)
				require.Empty(t, needed.Needs, "a switch needs no other")
			}
		}
	}
	for _, k := range Kinds() {
		requireDistinct(t, k.Permissions)
		m, ok := ModuleNamed(k.Module)
		require.True(t, ok, k.Module)
		_, ok = m.Permission(k.Needs)
		require.True(t, ok, k.Needs)
		for _, p := range k.Permissions {
			for _, by := range p.By {
				including, ok := m.Permission(by)
				require.True(t, ok && including.Needs == k.Needs, by)
			}
		}
	}
	for _, p := range Points() {
		require.Contains(t, []string{"tree", GlobalScope}, p.Scope)
		require.True(t, p.MinLevel >= SignedIn && p.MinLevel <= Administrator, p.Name)
	}
}

func requireDistinct(t *testing.T, permissions []Permission) {
	t.Helper()
	var names []string
	for _, p := range permissions {
		names = append(append(names, p.Name), p.Aliases...)
	}
	slices.Sort(names)
	require.Equal(t, slices.Compact(slices.Clone(names)), names)
}

func TestParseRight(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Right{
		"menu:/v2/job/sync/create":                           {Kind: "menu", Name: "/v2/job/sync/create"},
		"module:application.edit_app":                        {Kind: "module", Name: "application.edit_app"},
		"application:17.edit_app":                            {Kind: "application", Name: "edit_app", ID: 17},
		"host:4.login_host":                                  {Kind: "host", Name: "login_host", ID: 4},
		"business:3.view":                                    {Kind: "business", Name: "view", ID: 3},
		"user:5":                                             {Kind: "user", ID: 5},
		"point:openc3_job_write@12":                          {Kind: "point", Name: "openc3_job_write", ID: 12},
		"host:9223372036854775807.view_host":                 {Kind: "host", Name: "view_host", ID: 9223372036854775807},
		"module:deploy_template.enable_deploy_template_mgmt": {Kind: "module", Name: "deploy_template.enable_deploy_template_mgmt"},
	} {
		right, ok := ParseRight(text)
		require.True(t, ok, text)
		require.Equal(t, want, right, text)
	}
	for _, text := range []string{
		"", "admin", "row", "module", "module:", "module:application", "module:application.", "module:application.manage_app", "module:应用管理.edit_app",
		"module:deploy_template.enable_cdn_refresher", "application:17", "application:.edit_app", "application:?.edit_app", "application:17.edit_host",
		"application:+17.edit_app", "application:017.edit_app", "application:17.edit_app.x", "host:4.login", "rocket:1.fly", "user:0", "user:-1", "user:x",
		"user:9223372036854775808", "point:openc3_job_write", "point:openc3_job_write@", "point:openc3_job_write@-1", "point:@1",
	} {
		_, ok := ParseRight(text)
		require.False(t, ok, text)
	}
}

func TestNamesAndLabels(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"application", "应用管理", "Applications"} {
		m, ok := ModuleNamed(name)
		require.True(t, ok, name)
		require.Equal(t, "application", m.Name)
		p, ok := m.Permission("delte_app")
		require.True(t, ok)
		require.Equal(t, "delete_app", p.Name)
	}
	require.Equal(t, []string{"add_app", "create_app"}, Names("add_app"))
	require.Equal(t, []string{"login", "login_host"}, Names("login"))
	require.Equal(t, []string{"view_app"}, Names("view_app"))
	require.Equal(t, "application.enable_app_mgmt", SwitchOf("application.edit_app"))
	require.Empty(t, SwitchOf("application.enable_app_mgmt"))
	require.Empty(t, SwitchOf("nothing"))
	require.True(t, fault.Is(Undefined("restart_app"), "PERMISSION_UNDEFINED"))
	require.EqualError(t, Undefined("restart_app"), "undefined permission restart_app")
}

func TestLevels(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		point string
		node  int64
		want  int32
	}{
		{"openc3_job_read", 0, SignedIn},
		{"openc3_job_read", 7, SignedIn},
		{"openc3_job_control", 7, Developer},
		{"openc3_job_control", 0, Administrator},
		{"openc3_job_write", 7, Operator},
		{"openc3_job_write", 0, Administrator},
		{"openc3_job_root", 7, Administrator},
		{"openc3_job_root", 0, Administrator},
	} {
		p, ok := PointNamed(test.point)
		require.True(t, ok)
		require.Equal(t, test.want, p.LevelFor(test.node), "%s at %d", test.point, test.node)
	}
}

func FuzzParseRight(f *testing.F) {
	for _, text := range []string{"menu:/v2/x", "module:dns.manage_dns_server", "application:17.edit_app", "user:5", "point:openc3_job_write@12", "row"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		right, ok := ParseRight(text)
		if ok && right.Kind != MenuRight && IsKind(right.Kind) {
			k, _ := KindNamed(right.Kind)
			p, known := k.Permission(right.Name)
			require.True(t, known && p.Name == right.Name && right.ID >= 0, text)
		}
	})
}

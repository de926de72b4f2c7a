package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/opsdeck/opsdeck/pkg/apitest"
)

// example is a documented call and its documented answer, as the contract has them.
type example struct {
	Contract string `yaml:"contract"`
	Method   string `yaml:"method"`
	Path     string `yaml:"path"`
	Encoding string `yaml:"encoding"`
	Request  any    `yaml:"request"`
	Response any    `yaml:"response"`
}

func readExample(t testing.TB, id string) example {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "contract", id+".yaml"))
	require.NoError(t, err)
	var e example
	require.NoError(t, yaml.Unmarshal(text, &e))
	require.Equal(t, id, e.Contract)
	return e
}

// play sends a documented call, with further request members, and compares shape, types and nulls of the answer.
func (s *stage) play(t *testing.T, id string, members object) (documented, got object) {
	t.Helper()
	e := readExample(t, id)
	answer := s.send(t, e, members)
	require.Equal(t, http.StatusOK, answer.Status, "%s", answer.Body)
	require.Equal(t, "application/json", answer.Header.Get("Content-Type"))
	require.NoError(t, json.Unmarshal(answer.Body, &got))
	documented = e.Response.(object)
	require.Empty(t, apitest.SameShape(documented, got), "%s answered %s", id, answer.Body)
	require.Equal(t, "ok", got["message"])
	return documented, got
}

// send sends a documented call in its documented encoding.
func (s *stage) send(t testing.TB, e example, members object) apitest.Answer {
	t.Helper()
	request, ok := s.here(t, e.Request).(object)
	if !ok {
		request = object{}
	}
	for name, value := range members {
		request[name] = value
	}
	h := apitest.HTTP{Method: e.Method, Path: e.Path}
	if e.Encoding == "json" {
		h.JSON = request
		return s.do(t, h)
	}
	fields := map[string]string{}
	for name, value := range request {
		fields[name] = fmt.Sprint(value)
	}
	if e.Encoding == "form" {
		h.Form = fields
	} else {
		h.Query = fields
	}
	return s.do(t, h)
}

func TestContract(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	t.Run("auth", s.playAuth)
	t.Run("accounts", s.playAccounts)
	t.Run("tools", s.playTools)
	for _, jobType := range []string{"migration", "sync"} {
		t.Run(jobType, func(t *testing.T) { s.playJobs(t, jobType) })
	}
	t.Run("subscription", s.playSubscription)
}

func (s *stage) playAuth(t *testing.T) {
	_, captcha := s.play(t, "auth.captcha", nil)
	require.Len(t, captcha["id"], 20)
	picture, found := strings.CutPrefix(captcha["data_scheme"].(string), "data:image/png;base64,")
	require.True(t, found)
	png, err := base64.StdEncoding.DecodeString(picture)
	require.NoError(t, err)
	require.Equal(t, "image/png", http.DetectContentType(png))

	_, login := s.play(t, "auth.login", object{"captcha_id": captcha["id"], "password": s.encrypt(t, s.password)})
	claims := claimsOf(t, login["data"].(object)["token"].(string))
	require.Equal(t, "platform", claims["group"])
	require.Equal(t, "admin", claims["name"])
	require.Greater(t, claims["exp"], float64(time.Now().Unix()))

	documented, user := s.play(t, "auth.user.current", nil)
	documented["current_user"].(object)["create_time"] = "$string"
	require.Empty(t, apitest.SameValue(documented, user))
	requireTime(t, user["current_user"].(object)["create_time"])
}

func (s *stage) playAccounts(t *testing.T) {
	for _, id := range []string{"auth.tenant.list", "auth.user.list_action"} {
		documented, got := s.play(t, id, nil)
		require.Empty(t, apitest.SameValue(documented, got), id)
	}
	documented, users := s.play(t, "auth.user.list", nil)
	documented["user_list"].([]any)[0].(object)["create_time"] = "$string"
	require.Empty(t, apitest.SameValue(documented, users))
	s.play(t, "auth.role.list", nil)

	own, fresh := s.encrypt(t, s.password), s.encrypt(t, "Another-1")
	s.play(t, "auth.role.create", nil)
	s.play(t, "auth.role.update", nil)
	s.play(t, "auth.user.create", object{"pass_word": s.encrypt(t, "Secret-01"), "role": "user"})
	token := s.signIn(t, "platform", "test", s.encrypt(t, "Secret-01"))
	s.play(t, "auth.user.update", object{"role": "user"})
	s.play(t, "auth.user.reset_password", object{"current_user_password": own, "password": fresh})
	answer := s.do(t, apitest.HTTP{Method: "GET", Path: "/v2/user/current_user", Header: map[string]string{"Authorization": token}})
	require.Equal(t, http.StatusUnauthorized, answer.Status, "%s", answer.Body)
	s.signIn(t, "platform", "test", fresh)
	s.play(t, "auth.user.delete", nil)
	s.play(t, "auth.role.delete", object{"username": "user"})

	create, update := readExample(t, "auth.role.create"), readExample(t, "auth.role.update")
	create.Path, update.Path = "/v2/user/create", "/v2/user/update" // as the document has them
	require.Equal(t, http.StatusOK, s.send(t, create, nil).Status)
	require.Equal(t, http.StatusOK, s.send(t, update, nil).Status)
	s.play(t, "auth.role.delete", object{"username": "user"})
}

// claimsOf decodes a token without checking it: that is the server's work.
func claimsOf(t testing.TB, token string) object {
	t.Helper()
	parts := strings.Split(token, ".")
	require.Len(t, parts, 3)
	var header, claims object
	for i, into := range []*object{&header, &claims} {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(text, into))
	}
	require.Equal(t, "EdDSA", header["alg"])
	return claims
}

// requireTime wants RFC 3339 to the second, in UTC.
func requireTime(t testing.TB, value any) {
	t.Helper()
	when, err := time.Parse("2006-01-02T15:04:05Z", value.(string))
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), when, time.Hour)
}

func (s *stage) playTools(t *testing.T) {
	_, nodes := s.play(t, "nodes.list", nil)
	require.Equal(t, "ready", nodes["nodes"].([]any)[0].(object)["node_status"])

	instance := object{
		"mysql_host": "127.0.0.1", "mysql_port": s.source.Port(), "mysql_user": s.source.User(),
		"mysql_password": s.encrypt(t, s.source.Password()), "is_mysql_password_encrypted": "true",
	}
	_, found := s.play(t, "mysql.schemas", instance)
	table := func(name string) []any { return []any{object{"table_name": name}} }
	require.Equal(t, []any{
		object{"schema_name": "db1", "Tables": table("tb1")},
		object{"schema_name": "dbtest", "Tables": []any{}},
		object{"schema_name": "demo", "Tables": table("demo_tbl")},
		object{"schema_name": "test", "Tables": []any{}},
	}, found["schemas"])

	instance["mysql_schema"], instance["mysql_table"] = "db1", "tb1"
	documented, columns := s.play(t, "mysql.columns", instance)
	require.Empty(t, apitest.SameValue(documented, columns))

	s.playValidation(t)
	documented, level := s.play(t, "log.level", nil)
	require.Empty(t, apitest.SameValue(documented, level))
	s.play(t, "log.level", object{"dtle_log_level": "info"})

	s.play(t, "mysql.instance_connection", nil)
	failed := s.send(t, readExample(t, "mysql.instance_connection"), object{"mysql_password": s.encrypt(t, "wrong-password")})
	require.Equal(t, http.StatusOK, failed.Status, "a failed try is an answer: %s", failed.Body)
	require.NotContains(t, string(failed.Body), `"ok"`)
	require.NotContains(t, string(failed.Body), "wrong-password")
}

// playValidation asks by POST, and by GET as the document prints it: with a body, and with it in the query.
func (s *stage) playValidation(t *testing.T) {
	e := readExample(t, "replication.validate_job")
	body := s.here(t, e.Request)
	text, err := json.Marshal(body)
	require.NoError(t, err)
	for _, h := range []apitest.HTTP{
		{Method: "POST", Path: e.Path, JSON: body},
		{Method: "GET", Path: e.Path, JSON: body},
		{Method: "GET", Path: e.Path, Query: map[string]string{"job_config": string(text)}},
		{Method: "POST", Path: e.Path, JSON: object{"job_config": body}},
	} {
		answer := s.do(t, h)
		require.Equal(t, http.StatusOK, answer.Status, "%s", answer.Body)
		var got object
		require.NoError(t, json.Unmarshal(answer.Body, &got))
		require.Empty(t, apitest.SameValue(e.Response, got), "%s", answer.Body)
	}
}

func (s *stage) playJobs(t *testing.T, jobType string) {
	prefix := "replication." + jobType + "."
	documented, created := s.play(t, prefix+"create", nil)
	wanted := s.here(t, documented).(object)
	wanted["eval_create_index"], wanted["job_modify_index"] = "$number", "$number"
	require.Empty(t, apitest.SameValue(wanted, created), "field for field")
	s.play(t, prefix+"delete", nil)

	// The other examples are about a job that goes on, with one table.
	src := readExample(t, prefix+"create").Request.(object)["src_task"].(object)
	src["replicate_do_db"] = []any{object{"table_schema": "demo", "tables": []any{object{"table_name": "demo_tbl"}}}}
	members := object{"task_step_name": "job_stage_incr", "src_task": s.here(t, src)}
	answer := s.send(t, readExample(t, prefix+"create"), members)
	require.Equal(t, http.StatusOK, answer.Status, "%s", answer.Body)

	detail := s.awaitPlaced(t, prefix)
	s.playDetail(t, prefix, detail)
	_, listed := s.play(t, prefix+"list", nil)
	job := listed["jobs"].([]any)[0].(object)
	require.Equal(t, "platform:admin", job["user"])
	require.Equal(t, []any{"127.0.0.1"}, job["src_addr_list"])
	requireTime(t, job["job_create_time"])
	for _, order := range []string{"pause", "resume"} {
		s.play(t, prefix+order, nil)
	}
	s.playUpdate(t, prefix)
	s.playReverse(t, jobType)
	s.play(t, prefix+"delete", nil)
	s.play(t, prefix+"delete", object{"job_id": "reverse-demo-" + jobType})
	s.playLater(t, jobType)
	var left struct {
		Jobs []any `json:"jobs"`
	}
	s.ok(t, apitest.HTTP{Method: "GET", Path: "/v2/jobs/" + jobType}, &left)
	require.Equal(t, []any{}, left.Jobs, "[] when there is none")
}

// playUpdate gives the job the settings of the document, and then its task back.
func (s *stage) playUpdate(t *testing.T, prefix string) {
	t.Helper()
	documented, updated := s.play(t, prefix+"update", nil)
	wanted := s.here(t, documented).(object)
	wanted["eval_create_index"], wanted["job_modify_index"] = "$number", "$number"
	require.Empty(t, apitest.SameValue(wanted, updated), "field for field")
	answer := s.send(t, readExample(t, prefix+"update"), object{"task_step_name": "job_stage_incr"})
	require.Equal(t, http.StatusOK, answer.Status, "%s", answer.Body)
}

// playLater creates the job in the shape of dtle 4, and is answered in that of the document.
func (s *stage) playLater(t *testing.T, jobType string) {
	t.Helper()
	connection := func(d *database) object {
		return object{
			"host": "127.0.0.1", "port": d.Port(), "user": d.User(), "password": s.encrypt(t, d.Password()), "service_name": "", "database_type": "MySQL",
		}
	}
	var created struct {
		Job struct {
			Source struct {
				AutoGTID   bool   `json:"auto_gtid"`
				Connection object `json:"mysql_connection_config"`
			} `json:"src_task"`
			Target struct {
				Workers int `json:"parallel_workers"`
			} `json:"dest_task"`
		} `json:"job"`
	}
	s.ok(t, apitest.HTTP{Method: "POST", Path: "/v2/job/" + jobType + "/create", JSON: object{
		"job_id": "later", "task_step_name": "job_stage_incr", "is_password_encrypted": true,
		"src_task": object{
			"task_name": "src", "connection_config": connection(s.source), "oracle_src_task_config": nil,
			"mysql_src_task_config": object{"auto_gtid": true, "two_way_sync": false}, "replicate_do_db": []any{object{"table_schema": "demo"}},
		},
		"dest_task": object{
			"task_name": "dest", "database_type": "MySQL", "connection_config": connection(s.target), "mysql_dest_task_config": object{"parallel_workers": 3},
		},
	}}, &created)
	require.True(t, created.Job.Source.AutoGTID)
	require.Equal(t, 3, created.Job.Target.Workers)
	require.Equal(t, "*", created.Job.Source.Connection["mysql_password"])
	id := "later-" + jobType
	await(t, patience, "it to run", func(context.Context) error {
		var d detail
		s.ok(t, apitest.HTTP{Method: "GET", Path: "/v2/job/" + jobType + "/detail", Query: map[string]string{"job_id": id}}, &d)
		if d.status() != "running" {
			return fmt.Errorf("it is %s; events: %q", d.status(), d.messages())
		}
		return nil
	})
	s.play(t, "replication."+jobType+".delete", object{"job_id": id})
}

// playReverse lets the job in the other direction take over.
func (s *stage) playReverse(t *testing.T, jobType string) {
	t.Helper()
	prefix := "replication." + jobType + "."
	accounts := object{
		"src_user": s.target.User(), "src_pwd": s.encrypt(t, s.target.Password()),
		"dest_user": s.source.User(), "dst_pwd": s.encrypt(t, s.source.Password()), "is_mysql_password_encrypted": true,
	}
	s.play(t, prefix+"reverse", object{"reverse_config": accounts})
	back := object{"job_id": "reverse-demo-" + jobType}
	status := func(members object) string {
		var d detail
		require.NoError(t, json.Unmarshal(s.send(t, readExample(t, prefix+"detail"), members).Body, &d))
		return d.status()
	}
	require.Equal(t, "reverse-init", status(back))
	await(t, patience, "the job to follow its source", func(context.Context) error {
		if answer := s.send(t, readExample(t, prefix+"reverse_start"), nil); answer.Status != http.StatusOK {
			return fmt.Errorf("%s", answer.Body)
		}
		return nil
	})
	await(t, patience, "the reverse job to take over", func(context.Context) error {
		if now := [2]string{status(nil), status(back)}; now != [2]string{"finished", "running"} {
			return fmt.Errorf("they are %v", now)
		}
		return nil
	})
	s.target.exec(t, "INSERT INTO demo.demo_tbl VALUES (99)")
	await(t, patience, "a row to come back", func(ctx context.Context) error {
		return s.source.wants(ctx, 1, "SELECT COUNT(*) FROM demo.demo_tbl WHERE id = 99")
	})
	s.target.exec(t, "DELETE FROM demo.demo_tbl WHERE id = 99")
	await(t, patience, "its end to come back", func(ctx context.Context) error {
		return s.source.wants(ctx, 0, "SELECT COUNT(*) FROM demo.demo_tbl WHERE id = 99")
	})
}

// awaitPlaced waits until both tasks of the job have figures, and returns the job's detail.
func (s *stage) awaitPlaced(t *testing.T, prefix string) detail {
	t.Helper()
	var d detail
	await(t, patience, "the job to be placed", func(context.Context) error {
		answer := s.send(t, readExample(t, prefix+"detail"), nil)
		if err := json.Unmarshal(answer.Body, &d); err != nil {
			return permanentError{err}
		}
		if d.status() != "running" || len(d.Logs) != 2 {
			return fmt.Errorf("it is %s; events: %q", d.status(), d.messages())
		}
		for i, task := range []string{"src", "dest"} {
			figures := s.send(t, readExample(t, "monitor.task"), object{"allocation_id": d.Logs[i].Allocation, "task_name": task})
			if strings.Contains(string(figures.Body), `"current_coordinates":null`) {
				return fmt.Errorf("no figures of %s yet: %s", task, figures.Body)
			}
		}
		return nil
	})
	return d
}

func (s *stage) playDetail(t *testing.T, prefix string, d detail) {
	t.Helper()
	_, got := s.play(t, prefix+"detail", nil)
	documented := s.here(t, readExample(t, prefix+"detail").Response).(object)["basic_task_profile"].(object)
	profile := got["basic_task_profile"].(object)
	for _, part := range []string{"dtle_node_infos", "connection_info", "configuration", "replicate_do_db", "replicate_ignore_db"} {
		require.Empty(t, apitest.SameValue(documented[part], profile[part]), part)
	}
	require.Equal(t, []string{"src", "dst"}, []string{d.Logs[0].Target, d.Logs[1].Target}, "the source side first")
	requireTime(t, got["task_logs"].([]any)[0].(object)["task_events"].([]any)[0].(object)["time"])

	for i, task := range []string{"src", "dest"} {
		members := object{"allocation_id": d.Logs[i].Allocation, "task_name": task}
		answer := s.send(t, readExample(t, "monitor.task"), members)
		require.Equal(t, http.StatusOK, answer.Status, "%s", answer.Body)
		wanted := readExample(t, "monitor.task").Response.(object)
		wanted["tasks_status"].(object)["throughput_status"] = "$object|null" // nullable, and null in the example
		var figures any
		require.NoError(t, json.Unmarshal(answer.Body, &figures))
		require.Empty(t, apitest.SameShape(wanted, figures), "%s", answer.Body)
		require.Contains(t, string(answer.Body), `"timestamp":1`, "an integer, as it is")
	}
}

package gateway_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/opsdeck/opsdeck/pkg/fault"
)

const (
	create  = "/v2/job/migration/create"
	jsonHdr = "application/json"
	formHdr = "application/x-www-form-urlencoded"
	mysqlOK = "mysql_host=h&mysql_port=3306&mysql_user=u&mysql_password=p"
)

// job is a good body for create; edits are pairs of a text in it and what to put in its place.
func job(edits ...string) string {
	text := `{"job_id":"demo","src_task":{"task_name":"src","chunk_size":2000,"replicate_do_db":[{"table_schema":"a","tables":[{"table_name":"t"}]}],` +
		`"mysql_connection_config":{"mysql_host":"h","mysql_port":3306,"mysql_user":"u","mysql_password":"p"}},` +
		`"dest_task":{"task_name":"dest","mysql_connection_config":{"mysql_host":"g","mysql_port":3307,"mysql_user":"v","mysql_password":"q"}},"retry":2}`
	return strings.NewReplacer(edits...).Replace(text)
}

func TestBadInputIsRefusedByName(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	unreached := func(context.Context, proto.Message) (proto.Message, error) {
		return nil, fault.Conflict("REACHED", "the service was reached")
	}
	for _, method := range []string{
		"CreateCaptcha", "Login", "GetCurrentUser", "CreateJob", "ListJobs", "GetJob", "PauseJob", "ResumeJob", "DeleteJob",
		"GetTaskStatus", "ListSchemas", "ListColumns", "CheckConnection", "ListNodes",
	} {
		r.on(method, unreached)
	}
	post := func(path, body string) call {
		return call{method: "POST", path: path, contentType: jsonHdr, body: body}
	}
	form := func(path, body string) call {
		return call{method: "POST", path: path, contentType: formHdr, body: body}
	}
	get := func(path string) call { return call{method: "GET", path: path} }
	for _, test := range []struct {
		name   string
		call   call
		status int
		text   string // in the message
	}{
		// Bodies that are no JSON object.
		{"empty body", post(create, ""), 400, "body: is empty"},
		{"blank body", post(create, "  \n"), 400, "body: is empty"},
		{"cut JSON", post(create, `{"job_id":`), 400, "body: is not JSON"},
		{"not JSON", post(create, `job_id=demo`), 400, "body: is not JSON"},
		{"trailing text", post(create, job()+"x"), 400, "body: is not JSON"},
		{"two objects", post(create, job()+job()), 400, "body: is not JSON"},
		{"trailing comma", post(create, `{"job_id":"a",}`), 400, "body: is not JSON"},
		{"single quotes", post(create, `{'job_id':'a'}`), 400, "body: is not JSON"},
		{"no UTF-8", post(create, "{\"job_id\":\"\xff\"}"), 400, "body: is not UTF-8"},
		{"array", post(create, `[]`), 400, "body: must be a JSON object, got an array"},
		{"text", post(create, `"job"`), 400, "body: must be a JSON object, got text"},
		{"number", post(create, `1`), 400, "body: must be a JSON object, got the number 1"},
		{"null", post(create, `null`), 400, "body: must be a JSON object, got null"},
		{"too deep", post(create, strings.Repeat(`{"a":`, 20000)+"1"+strings.Repeat("}", 20000)), 400, "body: is not JSON"},
		{"deep in a field", post(create, `{"src_task":`+strings.Repeat("[", 5000)+strings.Repeat("]", 5000)+"}"), 400, "src_task: must be an object"},
		// Fields that are unknown, twice or of the wrong type.
		{"unknown field", post(create, job(`"retry"`, `"retri"`)), 400, "retri: there is no such field"},
		{"unknown long field", post(create, `{"`+strings.Repeat("x", 1000)+`":1}`), 400, strings.Repeat("x", 40) + "...: there is no such field"},
		{"unknown nested field", post(create, job(`"chunk_size"`, `"chunksize"`)), 400, "src_task.chunksize: there is no such field"},
		{"unknown field in a list", post(create, job(`"table_name"`, `"name"`)), 400, "src_task.replicate_do_db[0].tables[0].name: there is no such field"},
		{"camel case", post(create, job(`"job_id"`, `"jobId"`)), 400, "jobId: there is no such field"},
		{"duplicate", post(create, job(`"retry":2`, `"retry":2,"retry":3`)), 400, "retry: is given twice"},
		{"duplicate object", post(create, job(`"retry":2`, `"src_task":{}`)), 400, "src_task: is given twice"},
		{"number as text", post(create, job(`2000`, `"abc"`)), 400, `src_task.chunk_size: must be a whole number within 32 bits, got "abc"`},
		{"digits as text", post(create, job(`2000`, `"2000"`)), 400, `src_task.chunk_size: must be a whole number within 32 bits, got "2000"`},
		{"fraction", post(create, job(`2000`, `1.5`)), 400, "src_task.chunk_size: must be a whole number within 32 bits, got 1.5"},
		{"too large", post(create, job(`2000`, `2147483648`)), 400, "src_task.chunk_size: must be a whole number within 32 bits, got 2147483648"},
		{"text as number", post(create, job(`"demo"`, `7`)), 400, "job_id: must be text, got the number 7"},
		{"text as object", post(create, job(`"demo"`, `{}`)), 400, "job_id: must be text, got an object"},
		{"boolean as text", post(create, job(`"retry":2`, `"failover":"true"`)), 400, "failover: must be true or false, got text"},
		{"boolean as number", post(create, job(`"retry":2`, `"reverse":1`)), 400, "reverse: must be true or false, got the number 1"},
		{"list as object", post(create, job(`[{"table_schema":"a","tables":[{"table_name":"t"}]}]`, `{}`)), 400, "src_task.replicate_do_db: must be an array, got an object"},
		{"null in a list", post(create, job(`{"table_name":"t"}`, `null`)), 400, "src_task.replicate_do_db[0].tables[0]: must be an object, got null"},
		{"object as text", post(create, `{"src_task":"x"}`), 400, "src_task: must be an object, got text"},
		{"port as text", post(create, job(`3307`, `"3307"`)), 400, `dest_task.mysql_connection_config.mysql_port: must be a whole number within 32 bits, got "3307"`},
		{"zero character", post(create, job(`demo`, `a\u0000b`)), 400, "job_id: must not contain the character U+0000"},
		{"password of the wrong type", post(create, job(`"p"`, `["s3cret"]`)), 400, "src_task.mysql_connection_config.mysql_password: must be text, got an array"},
		{"wrapped beside others", post(create, `{"migration_job_config":`+job()+`,"job_id":"x"}`), 400, "job_id: nothing may stand beside migration_job_config"},
		{"wrapped no object", post(create, `{"migration_job_config":[]}`), 400, "migration_job_config: must be an object, got an array"},
		{"wrapped twice", post(create, `{"migration_job_config":{"migration_job_config":{}}}`), 400, "migration_job_config: there is no such field"},
		// Rules of the service, by the names the caller used.
		{"empty object", post(create, `{}`), 400, "src_task: "},
		{"job_id missing", post(create, job(`"job_id":"demo",`, ``)), 400, "job_id: "},
		{"job_id empty", post(create, job(`"demo"`, `""`)), 400, "job_id: "},
		{"job_id odd", post(create, job(`demo`, `a b`)), 400, "job_id: "},
		{"chunk size 0", post(create, job(`2000`, `0`)), 400, "src_task.chunk_size: "},
		{"port out of range", post(create, job(`3306`, `70000`)), 400, "src_task.mysql_connection_config.mysql_port: "},
		{"job type", post("/v2/job/backup/create", job()), 400, "job_type: "},
		{"list of an unknown type", get("/v2/jobs/backup"), 400, "job_type: "},
		// Queries.
		{"unknown parameter", get("/v2/jobs/migration?filter=x"), 400, "filter: there is no such query parameter"},
		{"cache buster", get("/v2/nodes?_=1"), 400, "_: there is no such query parameter"},
		{"path variable as parameter", get("/v2/jobs/migration?job_type=sync"), 400, "job_type: there is no such query parameter"},
		{"parameter twice", get("/v2/job/migration/detail?job_id=a&job_id=b"), 400, "job_id: is given 2 times"},
		{"parameter and its alias", get("/v2/jobs/migration?filter_job_id=a&filter_job_name=b"), 400, "filter_job_id: is another name of filter_job_name"},
		{"page size text", get("/v2/jobs/migration?page_size=many"), 400, `page_size: must be a whole number within 32 bits, got "many"`},
		{"page size negative", get("/v2/jobs/migration?page_size=-1"), 400, "page_size: "},
		{"unknown status", get("/v2/jobs/migration?filter_job_status=dead"), 400, "filter_job_status: "},
		{"order", get("/v2/jobs/migration?order_by=name"), 400, "order_by: "},
		{"broken escape", get("/v2/jobs/migration?order_by=%zz"), 400, "query: is not well-formed"},
		{"semicolon", get("/v2/jobs/migration?a=1;b=2"), 400, "query: is not well-formed"},
		{"port no number", get("/v2/mysql/schemas?" + strings.Replace(mysqlOK, "3306", "x", 1)), 400, `mysql_port: must be a whole number within 32 bits, got "x"`},
		{"port hexadecimal", get("/v2/mysql/schemas?" + strings.Replace(mysqlOK, "3306", "0xcea", 1)), 400, `mysql_port: must be a whole number`},
		{"port empty", get("/v2/mysql/schemas?" + strings.Replace(mysqlOK, "3306", "", 1)), 400, `mysql_port: must be a whole number within 32 bits, got ""`},
		{"port missing", get("/v2/mysql/schemas?" + strings.Replace(mysqlOK, "mysql_port=3306&", "", 1)), 400, "mysql_port: "},
		{"host missing", get("/v2/mysql/instance_connection?mysql_port=1&mysql_user=u&mysql_password=p"), 400, "mysql_host: "},
		{"flag no boolean", get("/v2/mysql/columns?" + mysqlOK + "&mysql_schema=s&mysql_table=t&is_mysql_password_encrypted=yes"), 400, `is_mysql_password_encrypted: must be true or false, got "yes"`},
		{"flag 1", get("/v2/mysql/columns?" + mysqlOK + "&mysql_schema=s&mysql_table=t&is_mysql_password_encrypted=1"), 400, `is_mysql_password_encrypted: must be true or false, got "1"`},
		{"character set unknown to a call", get("/v2/mysql/instance_connection?" + mysqlOK + "&mysql_character_set=utf8"), 400, "mysql_character_set: there is no such query parameter"},
		{"job_id missing in a query", get("/v2/job/migration/detail"), 400, "job_id: "},
		{"allocation missing", get("/v2/monitor/task?task_name=src"), 400, "allocation_id: "},
		// Forms and JSON of the small calls.
		{"pause nothing", form("/v2/job/migration/pause", ""), 400, "job_id: "},
		{"pause with an unknown form field", form("/v2/job/migration/pause", "job=a"), 400, "job: there is no such form field"},
		{"pause twice", form("/v2/job/migration/pause", "job_id=a&job_id=b"), 400, "job_id: is given 2 times"},
		{"pause with the type in the form", form("/v2/job/migration/pause", "job_id=a&job_type=sync"), 400, "job_type: there is no such form field"},
		{"pause with the type in JSON", post("/v2/job/migration/pause", `{"job_id":"a","job_type":"sync"}`), 400, "job_type: there is no such field"},
		{"pause by a wrong parameter", call{method: "POST", path: "/v2/job/migration/pause?id=a"}, 400, "id: there is no such form field"},
		{"pause by body and query", form("/v2/job/migration/pause?job_id=a", "job_id=a"), 400, "job_id: there is no such query parameter"},
		{"broken form", form("/v2/job/migration/pause", "job_id=%zz"), 400, "body: is not a well-formed form"},
		{"form that is not UTF-8", form("/v2/job/migration/pause", "job_id=%ff"), 400, "job_id: is not UTF-8"},
		{"login without a password", post("/v2/login", `{"username":"a","tenant":"t","captcha_id":"c","captcha":"1"}`), 400, "password: "},
		{"login in a wrapper", post("/v2/login", `{"migration_job_config":{}}`), 400, "migration_job_config: there is no such field"},
		{"login by query", call{method: "POST", path: "/v2/login?username=a"}, 400, "username: there is no such query parameter"},
		{"captcha as number", post("/v2/login", `{"captcha":36}`), 400, "captcha: must be text, got the number 36"},
		// Content types, methods, paths and tokens.
		{"form where JSON is wanted", form(create, "job_id=a"), 415, "Content-Type: must be application/json"},
		{"XML", call{method: "POST", path: create, contentType: "text/xml", body: "<a/>"}, 415, "Content-Type: must be application/json"},
		{"broken type", call{method: "POST", path: "/v2/login", contentType: "/", body: "{}"}, 415, "Content-Type: must be application/json or application/x-www-form-urlencoded"},
		{"multipart", call{method: "POST", path: "/v2/login", contentType: "multipart/form-data; boundary=x", body: "--x--"}, 415, "Content-Type: "},
		{"GET of a POST", get(create), 405, "GET is not allowed here, only OPTIONS, POST"},
		{"DELETE of a GET", call{method: "DELETE", path: "/v2/nodes"}, 405, "DELETE is not allowed here, only GET, HEAD, OPTIONS"},
		{"override header", call{method: "POST", path: "/v2/nodes", header: http.Header{"X-Http-Method-Override": {"GET"}}}, 405, "POST is not allowed here"},
		{"path variable no UTF-8", get("/v2/jobs/%ff"), 400, "path: is not UTF-8"},
		{"path no UTF-8", get("/%ff"), 400, "path: is not UTF-8"},
		{"unknown path", get("/v2/none"), 404, "there is nothing at /v2/none"},
		{"path above", get("/v2"), 404, "there is nothing at /v2"},
		{"path with an empty segment", get("/v2//nodes"), 404, "there is nothing at /v2//nodes"},
		{"doubled slash at the start", get("//v2/nodes"), 404, "there is nothing at //v2/nodes"},
		{"path outside every dialect", get("/metrics"), 404, "there is nothing at /metrics"},
		{"no token", call{method: "GET", path: "/v2/nodes", token: "none"}, 401, "please log in"},
		{"empty bearer", call{method: "GET", path: "/v2/nodes", token: "Bearer "}, 401, "please log in"},
		{"other scheme", call{method: "GET", path: "/v2/nodes", token: "Basic YTpi"}, 401, "please log in"},
		{"bad token", call{method: "GET", path: "/v2/nodes", token: "abc"}, 401, "please log in"},
		{"bad token before bad body", call{method: "POST", path: create, token: "abc", body: "{"}, 401, "please log in"},
		{"no token before bad body", call{method: "POST", path: create, token: "none", body: "{"}, 401, "please log in"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := r.do(t, test.call)
			require.Equal(t, test.status, got.status, got.body)
			var body map[string]any
			require.NoError(t, json.Unmarshal([]byte(got.body), &body), got.body)
			require.Len(t, body, 1, "an error is a message and nothing else")
			require.Contains(t, body["message"], test.text)
			require.NotContains(t, got.body, "s3cret")
			require.NotContains(t, got.body, "job.", "the caller does not know the request message")
			require.NotEmpty(t, got.header.Get("X-Request-Id"))
			require.Equal(t, test.status == http.StatusMethodNotAllowed, got.header.Get("Allow") != "")
		})
	}
	require.Equal(t, http.StatusConflict, r.do(t, post(create, job())).status, "the body that the cases change is good")
}

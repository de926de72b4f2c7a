package e2e

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/pkg/apitest"
)

// Everything that the contract says a request may look like besides its examples.
func TestRequestsComeInManyForms(t *testing.T) {
	t.Parallel()
	o, p, schema := sharedOpsdeck(t), sharedPair(t), newSchema()
	p.source.load(t, schema, 1)
	job := o.create(t, p.job("forms-"+schema, schema))
	one, raw := map[string]string{"job_id": job}, `{"job_id":"`+job+`"}`
	plain, spaced := raw, "\n\t"+raw+"\n"
	header := func(name, value string) map[string]string { return map[string]string{name: value} }

	for _, test := range []struct {
		name string
		http apitest.HTTP
	}{
		{"captcha by GET", apitest.HTTP{Method: "GET", Path: "/v2/login/captcha"}},
		{"captcha of a type by GET", apitest.HTTP{Method: "GET", Path: "/v2/login/captcha?captcha_type=audio"}},
		{"captcha of an unknown type", apitest.HTTP{Method: "GET", Path: "/v2/login/captcha?captcha_type=hologram"}},
		{"captcha by POST, form", apitest.HTTP{Method: "POST", Path: "/v2/login/captcha", Form: map[string]string{"captcha_type": "default"}}},
		{"captcha by POST, JSON", apitest.HTTP{Method: "POST", Path: "/v2/login/captcha", JSON: object{"captcha_type": "default"}}},
		{"captcha by POST, nothing", apitest.HTTP{Method: "POST", Path: "/v2/login/captcha"}},
		{"pause by form", apitest.HTTP{Method: "POST", Path: "/v2/job/migration/pause", Form: one}},
		{"pause by JSON", apitest.HTTP{Method: "POST", Path: "/v2/job/migration/pause", Raw: &plain}},
		{"pause by JSON with space around", apitest.HTTP{Method: "POST", Path: "/v2/job/migration/pause", Raw: &spaced}},
		{"pause by JSON with a charset", apitest.HTTP{Method: "POST", Path: "/v2/job/migration/pause", Raw: &plain, Header: header("Content-Type", "application/json; charset=utf-8")}},
		{"pause by query", apitest.HTTP{Method: "POST", Path: "/v2/job/migration/pause", Query: one}},
		{"resume by form", apitest.HTTP{Method: "POST", Path: "/v2/job/migration/resume", Form: one}},
		{"resume by query", apitest.HTTP{Method: "POST", Path: "/v2/job/migration/resume", Query: one}},
		{"trailing slash, GET", apitest.HTTP{Method: "GET", Path: "/v2/nodes/"}},
		{"trailing slash, GET with a query", apitest.HTTP{Method: "GET", Path: "/v2/job/migration/detail/", Query: one}},
		{"trailing slash, POST", apitest.HTTP{Method: "POST", Path: "/v2/job/migration/pause/", Form: one}},
		{"bare token", apitest.HTTP{Method: "GET", Path: "/v2/user/current_user", Header: header("Authorization", o.token)}},
		{"Bearer token", apitest.HTTP{Method: "GET", Path: "/v2/user/current_user", Header: header("Authorization", "Bearer "+o.token)}},
		{"bearer token", apitest.HTTP{Method: "GET", Path: "/v2/user/current_user", Header: header("Authorization", "bearer "+o.token)}},
		{"empty filters", apitest.HTTP{Method: "GET", Path: "/v2/jobs/migration?filter_job_name=&filter_job_status=&order_by="}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var answer struct {
				Message string `json:"message"`
			}
			o.ok(t, test.http, &answer)
			require.Equal(t, "ok", answer.Message)
		})
	}
	for name, filter := range map[string]string{
		"documented name": "filter_job_name=" + job, "name of the reference": "filter_job_id=" + job, "with an order": "order_by=job_create_time&filter_job_name=" + job,
		"a prefix": "filter_job_name=forms-" + schema,
	} {
		t.Run("list, "+name, func(t *testing.T) {
			require.Equal(t, []string{job}, o.list(t, filter))
		})
	}
	require.Empty(t, o.list(t, "filter_job_name="+job+"&filter_job_status=finished"))
	require.Empty(t, o.list(t, "filter_job_name=orms-"+schema), "a filter is a prefix")
	o.order(t, "delete", job)
}

// list returns the ids of the migration jobs that a query finds.
func (c *operator) list(t testing.TB, query string) []string {
	t.Helper()
	var answer struct {
		Jobs []struct {
			ID string `json:"job_id"`
		} `json:"jobs"`
	}
	c.ok(t, apitest.HTTP{Method: "GET", Path: "/v2/jobs/migration?" + query}, &answer)
	var ids []string
	for _, job := range answer.Jobs {
		ids = append(ids, job.ID)
	}
	return ids
}

func TestCreateTakesAWrappedBody(t *testing.T) {
	t.Parallel()
	o, p, schema := sharedOpsdeck(t), sharedPair(t), newSchema()
	p.source.load(t, schema, 1)
	for _, jobType := range []string{"migration", "sync"} {
		var answer struct {
			Job struct {
				ID  string `json:"job_id"`
				Src object `json:"src_task"`
			} `json:"job"`
		}
		wrapped := object{jobType + "_job_config": p.job("wrapped-"+schema, schema)}
		o.ok(t, apitest.HTTP{Method: "POST", Path: "/v2/job/" + jobType + "/create", JSON: wrapped}, &answer)
		require.Equal(t, "wrapped-"+schema+"-"+jobType, answer.Job.ID)
		require.Nil(t, answer.Job.Src["replicate_ignore_db"], "left out in the request, null in the answer")
		require.Equal(t, "*", answer.Job.Src["mysql_connection_config"].(object)["mysql_password"])
		var done object
		o.ok(t, apitest.HTTP{Method: "POST", Path: "/v2/job/" + jobType + "/delete", Form: map[string]string{"job_id": answer.Job.ID}}, &done)
	}
}

// A login needs a captcha that was not used, and a captcha answers once.
func TestCaptchaIsGoodForOneLogin(t *testing.T) {
	t.Parallel()
	o := sharedOpsdeck(t)
	stranger := "nobody-" + rand.Text()
	login := func(captchaID, captcha string, form bool) apitest.Answer {
		t.Helper()
		fields := map[string]string{"tenant": "platform", "username": stranger, "password": "x", "captcha_id": captchaID, "captcha": captcha}
		if form {
			return o.do(t, apitest.HTTP{Method: "POST", Path: "/v2/login", Form: fields})
		}
		return o.do(t, apitest.HTTP{Method: "POST", Path: "/v2/login", JSON: fields})
	}
	message := func(a apitest.Answer) string {
		t.Helper()
		var body struct {
			Message string `json:"message"`
		}
		require.NoError(t, json.Unmarshal(a.Body, &body))
		return body.Message
	}
	id := o.captcha(t)
	first, second := login(id, demoCaptcha, true), login(id, demoCaptcha, false)
	require.GreaterOrEqual(t, first.Status, http.StatusBadRequest)
	require.NotContains(t, message(first), "captcha", "the captcha was right, the user is unknown")
	require.Equal(t, http.StatusBadRequest, second.Status)
	require.Contains(t, message(second), "captcha", "it was used")

	wrong := login(o.captcha(t), "99999", false)
	require.Equal(t, http.StatusBadRequest, wrong.Status)
	require.Contains(t, message(wrong), "captcha")
}

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/pkg/apitest"
	"github.com/opsdeck/opsdeck/services/auth/mailtest"
	"github.com/opsdeck/opsdeck/services/auth/oidctest"
)

// factors is a standalone that sends mails and lets providers on this machine sign people in.
type factors struct {
	*opsdeck
	smtp *mailtest.Server
	idp  oidctest.Provider
}

func newFactors(t *testing.T) *factors {
	t.Helper()
	f := &factors{smtp: mailtest.Start(t, false)}
	dir := scratch(t)
	f.opsdeck = prepareOpsdeck(t, dir)
	f.idp = oidctest.Start(t, "http://"+f.address+"/v2/login/oidc/callback")
	f.env = append(f.env,
		"OPSDECK_AUTH_SMTP_ADDR="+f.smtp.Addr, "OPSDECK_AUTH_SMTP_FROM=opsdeck@example.org", "OPSDECK_AUTH_SMTP_USER="+mailtest.User,
		"OPSDECK_AUTH_SMTP_PASSWORD_FILE="+writeFile(t, mailtest.Password), "OPSDECK_AUTH_SMTP_CA_FILE="+f.smtp.CAFile,
		"OPSDECK_AUTH_PUBLIC_URL=http://"+f.address, "OPSDECK_AUTH_OIDC_PRIVATE_NETWORKS=true", "OPSDECK_AUTH_RECOVERIES_PER_MINUTE=6",
	)
	t.Cleanup(func() {
		f.out.showOnFailure(t, "opsdeck")
		require.NoError(t, f.end())
	})
	f.start(t)
	f.login(t)
	return f
}

// user makes a user of the tenant dev with a mail address, and returns his id.
func (f *factors) user(t *testing.T, name, password string) (id int64, email string) {
	t.Helper()
	done := object{}
	f.ok(t, apitest.HTTP{Method: "POST", Path: "/v2/user/create", JSON: object{"username": name, "tenant": "dev", "role": "admin", "pass_word": password}}, &done)
	email = name + "@example.org"
	conn, err := pgx.Connect(t.Context(), f.secret(t, "database.auth"))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	require.NoError(t, conn.QueryRow(t.Context(), `UPDATE auth.users SET email = $2 WHERE username = $1 RETURNING id`, name, email).Scan(&id))
	return id, email
}

// try signs in and returns the answer, whatever it is.
func (f *factors) try(t *testing.T, name, password, code string) apitest.Answer {
	t.Helper()
	body := object{"tenant": "dev", "username": name, "password": password, "captcha_id": f.captcha(t), "captcha": demoCaptcha}
	if code != "" {
		body["totp"] = code
	}
	return f.do(t, apitest.HTTP{Method: "POST", Path: "/v2/login", JSON: body})
}

// as returns a client of somebody.
func (f *factors) as(token string) *operator {
	return &operator{address: f.address, token: token, document: f.document}
}

// auth runs opsdeck auth beside the server.
func (f *factors) auth(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), opsdeckProgram, append([]string{"auth", args[0], "--data", f.data}, args[1:]...)...)
	command.Env, command.Stdin = hermetic(), strings.NewReader(stdin)
	out, err := command.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return string(out)
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

var resetLink = regexp.MustCompile(`http://\S+/reset-password#(\S+)`)

// Shows of issue 3: forgotten password, lockout, rate limit, TOTP, OIDC and own sessions, each from end to end.
func TestFactors(t *testing.T) {
	t.Parallel()
	f := newFactors(t)
	t.Run("forgotten password", f.testForgottenPassword)
	t.Run("changed password", f.testChangedPassword)
	t.Run("lockout and operator", f.testLockout)
	t.Run("second factor", f.testSecondFactor)
	t.Run("provider", f.testProvider)
	t.Run("own sessions", f.testOwnSessions)
	t.Run("rate limit", f.testRateLimit)
}

func (f *factors) testForgottenPassword(t *testing.T) {
	id, email := f.user(t, "forgetful", "Secret-01")
	session := f.as(f.signIn(t, "dev", "forgetful", "Secret-01"))
	forget := func(id any, email string) {
		var answer object
		f.as("").ok(t, apitest.HTTP{Method: "POST", Path: fmt.Sprintf("/users/%v/actions/forget-password/", id), JSON: object{"email": email}}, &answer)
		require.Equal(t, object{"message": "success"}, answer)
	}
	forget(id, "somebody@example.org")
	forget(id, email)
	mails := f.smtp.Await(t, email, 1)
	require.Empty(t, f.smtp.Mails("somebody@example.org"))
	token := resetLink.FindStringSubmatch(mails[0].Text)[1]

	page, err := httpClient.Get(resetLink.FindString(mails[0].Text))
	require.NoError(t, err)
	require.NoError(t, page.Body.Close())
	require.Equal(t, http.StatusOK, page.StatusCode)

	redeem := apitest.HTTP{Method: "POST", Path: "/users/actions/reset-password/", JSON: object{"token": token, "new_password": "Secret-02"}}
	var answer object
	f.as("").ok(t, redeem, &answer)
	require.Equal(t, http.StatusBadRequest, f.as("").do(t, redeem).Status, "a link works once")
	require.Equal(t, http.StatusUnauthorized, f.try(t, "forgetful", "Secret-01", "").Status)
	f.signIn(t, "dev", "forgetful", "Secret-02")
	ended(t, session)
	require.Contains(t, f.smtp.Await(t, email, 2)[1].Subject, "Password changed")
	require.NotContains(t, f.out.String(), token)
}

// ended waits for the end of a session, which takes a second at most.
func ended(t *testing.T, session *operator) {
	t.Helper()
	for _, path := range []string{"/v2/user/current_user", "/v2/nodes"} {
		await(t, patience, "the end of a session at "+path, func(context.Context) error {
			if got := session.do(t, apitest.HTTP{Method: "GET", Path: path}); got.Status != http.StatusUnauthorized {
				return fmt.Errorf("%d %s", got.Status, got.Body)
			}
			return nil
		})
	}
}

func (f *factors) testChangedPassword(t *testing.T) {
	id, email := f.user(t, "changer", "Secret-01")
	other, _ := f.user(t, "other", "Secret-01")
	first, second := f.as(f.signIn(t, "dev", "changer", "Secret-01")), f.as(f.signIn(t, "dev", "changer", "Secret-01"))
	change := func(id int64, original string) apitest.Answer {
		return second.do(t, apitest.HTTP{
			Method: "POST", Path: fmt.Sprintf("/users/%d/actions/change-password/", id),
			JSON: object{"original_password": original, "new_password": "Secret-02"},
		})
	}
	wrong := change(id, "Secret-99")
	require.Equal(t, http.StatusBadRequest, wrong.Status)
	require.JSONEq(t, `{"error_code":300001,"message":"original password is wrong"}`, string(wrong.Body))
	require.Equal(t, http.StatusForbidden, change(other, "Secret-01").Status)
	require.JSONEq(t, `{"message":"success"}`, string(change(id, "Secret-01").Body))
	ended(t, first)
	require.Equal(t, http.StatusOK, second.do(t, apitest.HTTP{Method: "GET", Path: "/v2/user/current_user"}).Status)
	f.smtp.Await(t, email, 1)
}

func (f *factors) testLockout(t *testing.T) {
	f.user(t, "guessed", "Secret-01")
	for range 3 {
		require.Equal(t, http.StatusUnauthorized, f.try(t, "guessed", "no", "").Status)
	}
	locked := f.try(t, "guessed", "Secret-01", "")
	require.Equal(t, http.StatusTooManyRequests, locked.Status, "%s", locked.Body)
	require.Contains(t, string(locked.Body), "30 min")
	require.Equal(t, "unlocked dev:guessed\n", f.auth(t, "", "unlock", "dev:guessed"))
	require.Equal(t, "dev:guessed was not locked\n", f.auth(t, "", "unlock", "dev:guessed"))
	session := f.as(f.signIn(t, "dev", "guessed", "Secret-01"))
	f.auth(t, "Secret-02\n", "reset-password", "dev:guessed")
	ended(t, session)
	f.signIn(t, "dev", "guessed", "Secret-02")
	f.auth(t, "Secret-03\n", "create-admin", "fresh:root")
	f.signIn(t, "fresh", "root", "Secret-03")
	require.Contains(t, f.auth(t, "", "rotate-keys"), "signs in ten minutes")
}

func (f *factors) testSecondFactor(t *testing.T) {
	f.user(t, "careful", "Secret-01")
	me := f.as(f.signIn(t, "dev", "careful", "Secret-01"))
	var enrolled struct{ Secret, URI string }
	me.ok(t, apitest.HTTP{Method: "POST", Path: "/v2/user/totp/enroll", JSON: object{"password": "Secret-01"}}, &enrolled)
	code := func(in time.Duration) string {
		code, err := totp.GenerateCode(enrolled.Secret, time.Now().Add(in))
		require.NoError(t, err)
		return code
	}
	var confirmed struct {
		Codes []string `json:"recovery_codes"`
	}
	first := code(0)
	me.ok(t, apitest.HTTP{Method: "POST", Path: "/v2/user/totp/confirm", JSON: object{"totp": first}}, &confirmed)
	require.Len(t, confirmed.Codes, 10)
	require.Equal(t, http.StatusUnauthorized, f.try(t, "careful", "Secret-01", "").Status)
	require.Equal(t, http.StatusUnauthorized, f.try(t, "careful", "Secret-01", first).Status, "a code is good once")
	require.Equal(t, http.StatusOK, f.try(t, "careful", "Secret-01", code(30*time.Second)).Status)
	require.Equal(t, http.StatusOK, f.try(t, "careful", "Secret-01", confirmed.Codes[0]).Status)
	require.Equal(t, http.StatusUnauthorized, f.try(t, "careful", "Secret-01", confirmed.Codes[0]).Status)
	require.Equal(t, "took the second factor off dev:careful\n", f.auth(t, "", "disable-totp", "dev:careful"))
	require.Equal(t, http.StatusOK, f.try(t, "careful", "Secret-01", "").Status)
	for _, secret := range append(confirmed.Codes, enrolled.Secret, first) {
		require.NotContains(t, f.out.String(), secret)
	}
}

func (f *factors) testProvider(t *testing.T) {
	done := object{}
	f.ok(t, apitest.HTTP{Method: "POST", Path: "/v2/role/create", JSON: object{
		"name": "reader", "tenant": "corp", "operation_object_type": "self", "authority": "[]",
	}}, &done)
	f.ok(t, apitest.HTTP{Method: "POST", Path: "/v2/oidc/provider/create", JSON: object{
		"tenant": "corp", "name": "idp", "issuer": f.idp.Issuer, "client_id": oidctest.ClientID, "client_secret": oidctest.ClientSecret,
		"create_users": true, "role": "reader",
	}}, &done)
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	browser := &http.Client{Transport: transport, Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	begun, err := browser.Get("http://" + f.address + "/v2/login/oidc/corp/idp")
	require.NoError(t, err)
	require.NoError(t, begun.Body.Close())
	require.Equal(t, http.StatusFound, begun.StatusCode)
	back := f.idp.SignIn(t, begun.Header.Get("Location"))

	stranger, err := httpClient.Get(back.String())
	require.NoError(t, err)
	require.NoError(t, stranger.Body.Close())
	require.Equal(t, http.StatusUnauthorized, stranger.StatusCode, "another browser")
	finished, err := browser.Get(back.String())
	require.NoError(t, err)
	defer func() { require.NoError(t, finished.Body.Close()) }()
	var opened struct{ Data struct{ Token string } }
	require.NoError(t, json.NewDecoder(finished.Body).Decode(&opened))
	var me struct {
		User struct{ Tenant, Username, Role string } `json:"current_user"`
	}
	f.as(opened.Data.Token).ok(t, apitest.HTTP{Method: "GET", Path: "/v2/user/current_user"}, &me)
	require.Equal(t, "corp", me.User.Tenant)
	require.Equal(t, oidctest.Username, me.User.Username)
	require.Equal(t, "reader", me.User.Role)
	require.NotContains(t, f.out.String(), oidctest.ClientSecret)
	require.NotContains(t, f.out.String(), back.Query().Get("code"))
}

func (f *factors) testOwnSessions(t *testing.T) {
	f.user(t, "roamer", "Secret-01")
	here, there := f.as(f.signIn(t, "dev", "roamer", "Secret-01")), f.as(f.signIn(t, "dev", "roamer", "Secret-01"))
	var list struct {
		Sessions []struct {
			ID, Address string
			Agent       string `json:"user_agent"`
			Current     bool
		}
	}
	here.ok(t, apitest.HTTP{Method: "GET", Path: "/v2/user/sessions"}, &list)
	require.Len(t, list.Sessions, 2)
	require.Equal(t, "127.0.0.1", list.Sessions[0].Address)
	require.Contains(t, list.Sessions[0].Agent, "Go-http-client")
	require.False(t, list.Sessions[0].Current)
	done := object{}
	here.ok(t, apitest.HTTP{Method: "POST", Path: "/v2/user/sessions/revoke", JSON: object{"session_id": list.Sessions[0].ID}}, &done)
	ended(t, there)
	again := f.as(f.signIn(t, "dev", "roamer", "Secret-01"))
	here.ok(t, apitest.HTTP{Method: "POST", Path: "/v2/user/sessions/revoke_others", JSON: object{}}, &done)
	ended(t, again)
	here.ok(t, apitest.HTTP{Method: "POST", Path: "/v2/logout", JSON: object{}}, &done)
	ended(t, here)
}

func (f *factors) testRateLimit(t *testing.T) {
	forget := apitest.HTTP{Method: "POST", Path: "/users/nobody/actions/forget-password", JSON: object{"email": "nobody@example.org"}}
	statuses := map[int]int{}
	for range 12 {
		statuses[f.as("").do(t, forget).Status]++
	}
	require.Positive(t, statuses[http.StatusTooManyRequests], "%v", statuses)
	require.Empty(t, f.smtp.Mails("nobody@example.org"))
}

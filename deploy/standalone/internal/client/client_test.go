package client_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/deploy/standalone/internal/client"
)

func TestParseServer(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		text  string
		plain bool
		want  string // "" for an error
		err   string
	}{
		{"http://127.0.0.1:8190/", false, "http://127.0.0.1:8190", ""},
		{"http://[::1]:8190", false, "http://[::1]:8190", ""},
		{"http://localhost", false, "http://localhost", ""},
		{"https://opsdeck.example.com/ops/", false, "https://opsdeck.example.com/ops", ""},
		{"http://10.0.0.1:8190", true, "http://10.0.0.1:8190", ""},
		{"http://10.0.0.1:8190", false, "", "OPSDECK_ALLOW_PLAIN_HTTP"},
		{"http://127.0.0.1.example.com", false, "", "use https"},
		{"127.0.0.1:8190", false, "", "first path segment"},
		{"ftp://127.0.0.1", false, "", "want http://HOST:PORT"},
		{"https://", false, "", "want http://HOST:PORT"},
		{"https://alice:secret@host", false, "", "leave user and password out"},
		{"https://host?a=b", false, "", "without ?"},
		{"https://alice:secret@host:port", false, "", "port"},
	} {
		t.Run(tc.text, func(t *testing.T) {
			t.Parallel()
			got, err := client.ParseServer(tc.text, tc.plain)
			if tc.want == "" {
				require.ErrorContains(t, err, tc.err)
				require.NotContains(t, err.Error(), "secret")
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.want, got.String())
		})
	}
}

// Answers, and what a caller learns of them.
func TestAnswers(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		status int
		header http.Header
		body   string
		err    string // "" for none
	}{
		"done":                   {200, nil, `{"message": "ok"}`, ""},
		"refused":                {409, nil, `{"message": "the job is finished"}`, "the job is finished"},
		"refused, with steering": {409, nil, `{"message": "\u001b[2Jgone\nfor good"}`, "\uFFFD[2Jgone for good"},
		"not by opsdeck":         {502, nil, `<html>`, "answers 502 Bad Gateway: is it an opsdeck?"},
		"done by another":        {200, nil, `<html>`, "something else than JSON"},
		"sent on elsewhere":      {307, http.Header{"Location": {"https://elsewhere"}}, ``, "sends callers on to https://elsewhere"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked := make(chan string, 1)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked <- r.Header.Get("Authorization") + " " + r.URL.Path
				for name, values := range tc.header {
					w.Header()[name] = values
				}
				w.WriteHeader(tc.status)
				_, _ = w.Write([]byte(tc.body))
			}))
			defer server.Close()
			_, err := dial(t, server.URL+"/below").Get(t.Context(), "/v2/nodes", url.Values{})
			require.Equal(t, "Bearer t /below/v2/nodes", <-asked)
			if tc.err == "" {
				require.NoError(t, err)
				return
			}
			var refused *client.Refused
			require.ErrorAs(t, err, &refused)
			require.Equal(t, tc.status, refused.Status)
			require.ErrorContains(t, err, tc.err)
		})
	}
}

func TestNobodyAnswers(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	_, err := dial(t, server.URL).Post(t.Context(), "/v2/login", map[string]string{"password": "secret"})
	var unreachable *client.Unreachable
	require.ErrorAs(t, err, &unreachable)
	require.ErrorContains(t, err, server.URL)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = dial(t, server.URL).Get(ctx, "/v2/nodes", nil)
	require.ErrorIs(t, err, context.Canceled)
}

func dial(t *testing.T, address string) *client.Client {
	t.Helper()
	server, err := client.ParseServer(address, false)
	require.NoError(t, err)
	return client.New(server, func(context.Context) (string, error) { return "t", nil })
}

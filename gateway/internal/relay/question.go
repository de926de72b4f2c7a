package relay

import (
	"io"
	"net/http"
	"net/url"
	"strings"
)

// asked turns a GET whose question stands in its body, or as text in a query parameter, into the POST that it means.
func asked(r *http.Request, parameter string) *http.Request {
	post := r.Clone(r.Context())
	post.Method = http.MethodPost
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || !values.Has(parameter) {
		return post // what is wrong with a query is said where it is read
	}
	text := values.Get(parameter)
	values.Del(parameter)
	post.URL.RawQuery = values.Encode()
	post.Body, post.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
	return post
}

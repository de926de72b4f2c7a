package dialect

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzCredential proves that whatever stands in the headers becomes at most one credential, of a kind that its dialect knows, and whose
// value was in the headers.
func FuzzCredential(f *testing.F) {
	f.Add("Bearer a.b.c", "", "", "")
	f.Add("Token opd_0", "jobx", "opk_0", "sid=ops_0")
	f.Add("  ", "", "key", "a=b; sid=\"x\"; sid=y")
	f.Fuzz(func(t *testing.T, authorization, appname, appkey, cookie string) {
		r := &http.Request{Header: http.Header{
			"Authorization": {authorization}, "Appname": {appname}, "Appkey": {appkey}, "Cookie": {cookie},
		}}
		for _, d := range all {
			c := d.Credential(r)
			switch c.Kind {
			case None:
				require.Equal(t, Credential{}, c)
			case JWT, APIToken:
				require.NotEmpty(t, c.Value)
				require.Contains(t, authorization, c.Value)
				require.Equal(t, c.Kind == JWT, strings.Count(c.Value, ".") == 2)
			case AppKey:
				require.Equal(t, openc3, d)
				require.Equal(t, Credential{Kind: AppKey, Name: appname, Value: appkey}, c)
			case Cookie:
				require.Equal(t, openc3, d)
				require.Contains(t, cookie, c.Value)
			}
		}
	})
}

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/pkg/apitest"
)

const kills = 4

// opsdeck is killed at random moments while somebody adds records. What was acknowledged is served, what is stored is served, and nothing is
// there twice.
func TestDNSSurvivesKills(t *testing.T) {
	t.Parallel()
	o := newOpsdeck(t)
	random := rand.New(rand.NewPCG(seed(t), 9))
	for name, start := range nameServers {
		s := newDNSStage(t, o, start(t))
		var acknowledged []string
		for round := range kills {
			acknowledged = append(acknowledged, s.addUntilKilled(t, round, time.Duration(50+random.IntN(900))*time.Millisecond)...)
			s.start(t)
		}
		require.NotEmpty(t, acknowledged, name)
		await(t, patience, "all changes to be pushed", func(context.Context) error { return s.waiting(t) })
		var stored []string
		for _, r := range s.list(t) {
			if r.Type != "SOA" {
				stored = append(stored, r.line())
			}
		}
		slices.Sort(stored)
		require.Equal(t, stored, s.transfer(t), "%s: the server holds what is stored", name)
		for _, line := range acknowledged {
			require.Contains(t, stored, line, "%s: an acknowledged record was lost", name)
		}
	}
}

// addUntilKilled adds records until the process is killed, and returns those that were acknowledged.
func (s *dnsStage) addUntilKilled(t testing.TB, round int, after time.Duration) (acknowledged []string) {
	t.Helper()
	stop := make(chan struct{})
	var adding sync.WaitGroup
	adding.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			name, value := fmt.Sprintf("r%d-%d.%s", round, i, s.zone), fmt.Sprintf("192.0.2.%d", i%250)
			if s.tryAdd(name, value) {
				acknowledged = append(acknowledged, record{Name: name, Type: "A", Value: value, TTL: 3600}.line())
			}
		}
	})
	timer := time.NewTimer(after)
	<-timer.C
	s.kill9(t)
	close(stop)
	adding.Wait()
	return acknowledged
}

// tryAdd adds a record to a server that may be gone, and reports whether that was acknowledged.
func (s *dnsStage) tryAdd(name, value string) bool {
	body := fmt.Sprintf(`{"name":%q,"type":"A","value":%q}`, name, value)
	request, err := http.NewRequest(http.MethodPost, "http://"+s.address+s.records(""), strings.NewReader(body))
	if err != nil {
		return false
	}
	request.Header.Set("Authorization", "Token "+s.token)
	request.Header.Set("Content-Type", "application/json")
	response, err := httpClient.Do(request)
	if err != nil {
		return false
	}
	defer func() { _ = response.Body.Close() }()
	var made record
	return response.StatusCode == http.StatusOK && json.NewDecoder(response.Body).Decode(&made) == nil && made.ID != 0
}

// waiting is an error while changes wait for the name server.
func (s *dnsStage) waiting(t testing.TB) error {
	var got struct {
		Count int `json:"count"`
	}
	s.ok(t, apitest.HTTP{Method: "GET", Path: s.path(fmt.Sprintf("domains/%d/changes/?state=pending", s.domain))}, &got)
	if got.Count > 0 {
		return fmt.Errorf("%d changes are pending", got.Count)
	}
	return nil
}

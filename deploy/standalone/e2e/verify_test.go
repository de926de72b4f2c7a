package e2e

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/pkg/apitest"
)

// verification is what the API tells of one.
type verification struct {
	State    string `json:"state"`
	Rows     int64  `json:"rows_compared"`
	Found    int64  `json:"differences_found"`
	Repaired int64  `json:"differences_repaired"`
	Error    string `json:"error"`
}

// verified is the answer about a verification.
type verified struct {
	Verification verification `json:"verification"`
	Differences  []struct {
		Table   string   `json:"table"`
		Key     string   `json:"key"`
		Kind    string   `json:"kind"`
		Columns []string `json:"columns"`
	} `json:"differences"`
	Next    string `json:"next_page_token"`
	Message string `json:"message"`
}

// verify orders a verification, waits for its end and returns what there is to tell, page by page.
func (c *operator) verify(t testing.TB, order object) (verification, []string) {
	t.Helper()
	c.ok(t, apitest.HTTP{Method: "POST", Path: "/v2/job/migration/verify", JSON: order}, &object{})
	path := "/v2/job/migration/verify?page_size=2&job_id=" + order["job_id"].(string)
	var answer verified
	await(t, patience, "the verification to end", func(context.Context) error {
		answer = verified{}
		c.ok(t, apitest.HTTP{Method: "GET", Path: path}, &answer)
		if answer.Verification.State != "finished" {
			return fmt.Errorf("it is %+v", answer.Verification)
		}
		return nil
	})
	last, found := answer.Verification, []string{}
	for {
		for _, d := range answer.Differences {
			found = append(found, fmt.Sprintf("%s %s %s %s", d.Table, d.Kind, d.Key, d.Columns))
		}
		if answer.Next == "" {
			return last, found
		}
		next := answer.Next
		answer = verified{}
		c.ok(t, apitest.HTTP{Method: "GET", Path: path + "&page_token=" + next}, &answer)
	}
}

// An operator has a job verified while applications write, finds what somebody has changed at the target by hand, and has it repaired.
func TestAJobIsVerified(t *testing.T) {
	t.Parallel()
	o, p, schema := sharedOpsdeck(t), sharedPair(t), newSchema()
	p.source.exec(t, "CREATE DATABASE "+schema, "CREATE TABLE "+schema+".t (id INT PRIMARY KEY, v VARCHAR(20))",
		"INSERT INTO "+schema+".t SELECT seq, 'old' FROM "+schema+".seq_1_to_3000")
	id := o.create(t, p.job("verified-"+schema, schema))
	last, found := o.verify(t, object{"job_id": id})
	require.Empty(t, found)
	require.Equal(t, verification{State: "finished", Rows: 3000}, last)

	p.target.exec(t, "DELETE FROM "+schema+".t WHERE id = 17", "UPDATE "+schema+".t SET v = 'x' WHERE id = 18", "INSERT INTO "+schema+".t VALUES (9000, '')")
	want := []string{schema + ".t missing id=17 []", schema + ".t different id=18 [v]", schema + ".t extra id=9000 []"}
	p.source.exec(t, "UPDATE "+schema+".t SET v = 'new' WHERE id > 1000")
	last, found = o.verify(t, object{"job_id": id, "repair": true, "rows_per_second": 100000, "max_lag": 60})
	require.ElementsMatch(t, want, found)
	require.Equal(t, verification{State: "finished", Rows: 3000, Found: 3, Repaired: 3}, last)
	p.awaitSame(t, schema)
	var detail struct {
		Verification verification `json:"verification"`
	}
	o.ok(t, apitest.HTTP{Method: "GET", Path: "/v2/job/migration/detail?job_id=" + id}, &detail)
	require.Equal(t, last, detail.Verification)
	for body, status := range map[string]int{
		`{"job_id": "` + id + `", "rows_per_second": 0}`:             http.StatusBadRequest,
		`{"job_id": "` + id + `", "action": "pause"}`:                http.StatusBadRequest,
		`{"job_id": "` + id + `", "action": "stop", "repair": true}`: http.StatusBadRequest,
		`{"job_id": "none-migration"}`:                               http.StatusNotFound,
	} {
		answer := o.do(t, apitest.HTTP{Method: "POST", Path: "/v2/job/migration/verify", Raw: &body, Header: map[string]string{"Content-Type": "application/json"}})
		require.Equal(t, status, answer.Status, "%s: %s", body, answer.Body)
	}
	o.order(t, "delete", id)
}

// A verification goes on behind what is stored when the worker, and then the manager with it, is killed in its middle: no row is counted twice, no
// difference told twice.
func TestAVerificationSurvivesKills(t *testing.T) {
	t.Parallel()
	o, p := newOpsdeck(t, noWorker), newPair(t)
	kill, revive := newWorker(t, o)
	p.source.exec(t, "CREATE DATABASE survives", "CREATE TABLE survives.t (id INT PRIMARY KEY, v INT)", "INSERT INTO survives.t SELECT seq, 0 FROM survives.seq_1_to_24000",
		"CREATE TABLE survives.u (id INT PRIMARY KEY)", "INSERT INTO survives.u VALUES (1)")
	id := o.create(t, p.job("survives", "survives"))
	o.awaitCaughtUp(t, id)
	p.awaitSame(t, "survives")
	p.target.exec(t, "DELETE FROM survives.t WHERE id IN (5, 9000, 16000, 23990)", "INSERT INTO survives.u VALUES (2)")
	o.ok(t, apitest.HTTP{Method: "POST", Path: "/v2/job/migration/verify", JSON: object{"job_id": id, "rows_per_second": 2000}}, &object{})
	reach := func(rows int64) {
		t.Helper()
		await(t, patience, fmt.Sprintf("the verification of %d rows", rows), func(context.Context) error {
			var answer verified
			o.ok(t, apitest.HTTP{Method: "GET", Path: "/v2/job/migration/verify?job_id=" + id}, &answer)
			if answer.Verification.Rows < rows {
				return fmt.Errorf("it is %+v", answer.Verification)
			}
			require.Equal(t, "running", answer.Verification.State)
			return nil
		})
	}
	reach(4000)
	kill(t)
	p.source.exec(t, "UPDATE survives.t SET v = 1 WHERE id % 100 = 1")
	revive(t)
	reach(11000)
	kill(t)
	crash(o.process)
	o.start(t)
	revive(t)
	var answer verified
	await(t, patience, "the end of the verification", func(context.Context) error {
		answer = verified{}
		o.ok(t, apitest.HTTP{Method: "GET", Path: "/v2/job/migration/verify?job_id=" + id}, &answer)
		if answer.Verification.State != "finished" {
			return fmt.Errorf("it is %+v", answer.Verification)
		}
		return nil
	})
	require.Equal(t, verification{State: "finished", Rows: 24001, Found: 5}, answer.Verification)
	var keys []string
	for _, d := range answer.Differences {
		keys = append(keys, d.Table+" "+d.Key)
	}
	require.ElementsMatch(t, []string{"survives.t id=5", "survives.t id=9000", "survives.t id=16000", "survives.t id=23990", "survives.u id=2"}, keys)
	o.order(t, "delete", id)
}

package kafka_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/goleak"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/kafka"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/kafkatest"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// authority makes a certificate for 127.0.0.1 that signs itself.
func authority(t *testing.T) (server tls.Certificate, ca string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

var job = kafka.Job{ID: "demo-subscription", Incarnation: "one", Epoch: 5}

func TestSignIn(t *testing.T) {
	t.Parallel()
	certificate, ca := authority(t)
	cluster := kafkatest.Start(t, kfake.EnableSASL(), kfake.TLS(&tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}),
		kfake.Superuser(kafka.Plain, "plain", "right"), kfake.Superuser(kafka.ScramSHA256, "scram1", "right"), kfake.Superuser(kafka.ScramSHA512, "scram2", "right"))
	cfg := kafka.Config{Brokers: cluster.ListenAddrs(), TLS: true, CA: ca, MaxMessage: 1_000_000}
	for user, mechanism := range map[string]string{"plain": kafka.Plain, "scram1": kafka.ScramSHA256, "scram2": kafka.ScramSHA512} {
		cfg.User, cfg.Mechanism = user, mechanism
		cfg.Password = "right"
		named := job
		named.Incarnation = user
		p, state, err := kafka.Open(t.Context(), cfg, named)
		require.NoError(t, err, mechanism)
		require.Equal(t, progress.StageNew, state.Stage)
		p.Close()
		cfg.Password = "wrong-guess"
		_, _, err = kafka.Open(t.Context(), cfg, named)
		require.Error(t, err)
		require.Regexp(t, "the brokers refuse the user or the password|refuses the account", err.Error())
		require.NotContains(t, err.Error(), "wrong-guess")
	}
	cfg.CA = ""
	_, _, err := kafka.Open(t.Context(), cfg, job)
	require.ErrorContains(t, err, "certificate")
}

func TestProgress(t *testing.T) {
	t.Parallel()
	cfg := kafka.Config{Brokers: kafkatest.Start(t).ListenAddrs(), MaxMessage: 1_000_000}
	p, state, err := kafka.Open(t.Context(), cfg, job)
	require.NoError(t, err)
	require.Empty(t, state.Copy.Snapshots)
	at := mysql.Position{File: "bin.000007", Offset: 4, GTIDSet: "0-1-9"}
	table := &progress.Table{Schema: "a", Name: "b", Fingerprint: "f", LastKey: []byte{0, 255}, RowsCopied: 3}
	gone := &progress.Table{Schema: "a", Name: "gone"}
	var records []kafka.Record
	add := func(r kafka.Record, err error) {
		require.NoError(t, err)
		records = append(records, r)
	}
	add(p.StageRecord(progress.StageStream, progress.Applied{Position: at, Transactions: 4, Rows: 8}))
	add(kafka.SnapshotRecord(0, at))
	add(kafka.TableRecord(gone))
	add(kafka.TableRecord(table))
	add(kafka.NoTableRecord(gone))
	require.NoError(t, p.Commit(t.Context(), records...))
	require.NoError(t, p.Send(t.Context(), kafka.Message{Topic: "rows", Value: []byte("never committed")}))
	p.Close()

	later := job
	later.Epoch = 6
	p, state, err = kafka.Open(t.Context(), cfg, later)
	require.NoError(t, err)
	require.Equal(t, &kafka.State{
		Epoch: 5, Stage: progress.StageStream, Position: at, Transactions: 4, Rows: 8,
		Copy: &progress.Copy{Snapshots: []mysql.Position{at}, Tables: []*progress.Table{table}},
	}, state)
	require.NoError(t, p.Send(t.Context(), kafka.Message{Topic: "rows", Value: []byte("committed")}))
	require.NoError(t, p.Commit(t.Context()))
	p.Close()
	all := kafkatest.All(t, cfg.Brokers, "rows")
	require.Len(t, all, 1)
	require.Equal(t, "committed", string(all[0].Value))

	_, _, err = kafka.Open(t.Context(), cfg, job)
	require.ErrorIs(t, err, progress.ErrFenced)
}

// Buffers of messages that have arrived are written over by later ones: none may be seen in the place of another.
func TestBuffersAreUsedAgain(t *testing.T) {
	t.Parallel()
	cfg := kafka.Config{Brokers: kafkatest.Start(t).ListenAddrs(), MaxMessage: 1_000_000}
	p, _, err := kafka.Open(t.Context(), cfg, job)
	require.NoError(t, err)
	defer p.Close()
	const transactions, messages = 5, 200
	used := 0
	want := map[string]bool{}
	for n := range transactions * messages {
		buffer := p.Buffer()
		if cap(buffer) > 0 {
			used++
		}
		value := fmt.Appendf(buffer, "%d %s", n, strings.Repeat("v", n))
		want[string(value)] = true
		require.NoError(t, p.Send(t.Context(), kafka.Message{Topic: "rows", Key: strconv.AppendInt(nil, int64(n), 10), Value: value}))
		if n%messages == messages-1 {
			require.NoError(t, p.Commit(t.Context()))
		}
	}
	require.Positive(t, used)
	got := map[string]bool{}
	for _, r := range kafkatest.All(t, cfg.Brokers, "rows") {
		got[string(r.Value)] = true
	}
	require.Equal(t, want, got)
}

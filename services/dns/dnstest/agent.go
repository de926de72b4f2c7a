package dnstest

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/opsdeck/opsdeck/pkg/app"
	"github.com/opsdeck/opsdeck/pkg/secret"
	"github.com/opsdeck/opsdeck/services/dns/bindagent"
)

// Agent is opsdeck-bind-agent, in this process.
type Agent struct {
	url    string
	token  secret.Text
	cancel context.CancelFunc
	ended  chan error
}

// StartAgent runs an agent beside a server. The caller ends it with Stop.
func StartAgent(ctx context.Context, n *Named) (*Agent, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	rt, _, err := app.NewRuntime(app.ProcessConfig{LogLevel: "error"})
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	a := &Agent{url: "http://" + listener.Addr().String() + "/", token: secret.Text(rand.Text()), ended: make(chan error, 1)}
	ctx, a.cancel = context.WithCancel(context.WithoutCancel(ctx))
	config := bindagent.Config{
		Token: a.token, Control: n.ControlAddr(), ControlKey: n.ControlKeyFile(), Statistics: n.StatisticsURL(), TSIGKey: n.UpdateKeyFile(),
		DNSPort: n.port, Directory: n.Zones(), Timeout: 30 * time.Second, Drain: time.Second,
	}
	go func() { a.ended <- bindagent.Serve(ctx, rt, config, listener) }()
	return a, a.await(ctx)
}

// await asks until the agent answers.
func (a *Agent) await(ctx context.Context) error {
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url, http.NoBody)
		if err != nil {
			return err
		}
		request.Close = true
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			return response.Body.Close()
		}
		select {
		case err := <-a.ended:
			return errors.Join(errors.New("the agent did not start"), err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// URL returns the api_endpoint of the agent.
func (a *Agent) URL() string { return a.url }

// Token returns the token that callers must bring.
func (a *Agent) Token() secret.Text { return a.token }

// Stop ends the agent in order.
func (a *Agent) Stop() error {
	a.cancel()
	return <-a.ended
}

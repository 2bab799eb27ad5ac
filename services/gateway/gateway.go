package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tus/tusd/v2/pkg/handler"
	"go.yaml.in/yaml/v3"

	"github.com/millrace/millrace/pipeline/queue"
	"github.com/millrace/millrace/pipeline/store"
	"github.com/millrace/millrace/services/gateway/identity"
	"github.com/millrace/millrace/services/gateway/upload"
)

// Parts are what a gateway works with. Whoever gives them closes them, after Close.
type Parts struct {
	Config Config
	Queue  *queue.Client
	Topic  string // the client's
	Store  store.Store
	// Dataset is that of jobs which name none, where the tenant's is not clear.
	Dataset string
	// Dir is where media are spooled on their way to the store.
	Dir string
	Log *slog.Logger
	// HTTP asks issuers; nil is a client of its own.
	HTTP *http.Client
	// Now is the clock for tokens; nil is time.Now.
	Now func() time.Time
}

// Gateway is a built gateway. Its Handler may be served at once.
type Gateway struct {
	cfg     Config
	parts   Parts
	log     *slog.Logger
	files   []*reloaded
	tls     secured
	auth    identity.Authenticator
	tenants map[string]*tenant
	topic   *topic
	handles *handles
	fates   *fates
	slots   chan struct{}
	uploads *upload.Store
	tus     *handler.UnroutedHandler
	metrics *metrics
	ready   readiness
	drains  atomic.Bool
	mux     http.Handler

	stop context.CancelFunc
	wg   sync.WaitGroup
}

// New builds a gateway. It needs the store, for the key of job handles; the topic may
// still be away. Close it after use.
func New(ctx context.Context, p Parts) (*Gateway, error) {
	if err := p.Config.Validate(); err != nil {
		return nil, err
	}
	g := &Gateway{cfg: p.Config, parts: p, log: p.Log, tenants: map[string]*tenant{}, slots: make(chan struct{}, p.Config.Limits.Uploads), metrics: newMetrics(),
		tls: secured{clients: p.Config.TLS.ClientCA != ""}}
	var err error
	if err = g.open("gateway.tls", p.Config.TLS.files(), g.tls.use); err != nil {
		return nil, err
	}
	if g.auth, err = g.newAuth(); err != nil {
		return nil, err
	}
	list := p.Config.Tenants
	if p.Config.Auth.None {
		list = append([]Tenant{noAuthTenant()}, list...)
	}
	for _, t := range list {
		if g.tenants[t.Name], err = newTenant(t, p.Config.Limits, len(list), p.Now); err != nil {
			return nil, err
		}
		g.metrics.quota(g.tenants[t.Name])
	}
	if g.handles, err = openHandles(ctx, p.Store, p.Config.HandleKey, p.Topic); err != nil {
		return nil, err
	}
	g.topic = newTopic(p.Queue, p.Topic, p.Config.Limits)
	g.fates = newFates(store.Plain{Store: p.Store})
	if g.uploads, err = upload.New(p.Store, p.Config.Limits.Uploads); err == nil {
		g.tus, err = g.newTus()
	}
	if err != nil {
		return nil, err
	}
	g.mux = g.routes()
	background, stop := context.WithCancel(context.Background())
	g.stop = stop
	g.wg.Go(func() { g.sweep(background) })
	g.wg.Go(func() { g.reload(background) })
	return g, nil
}

// Close ends what New started.
func (g *Gateway) Close() {
	g.stop()
	g.wg.Wait()
}

// Handler serves the API.
func (g *Gateway) Handler() http.Handler { return g.mux }

// newAuth builds the ways to know callers.
func (g *Gateway) newAuth() (identity.Authenticator, error) {
	p, a := g.parts, g.cfg.Auth
	if a.None {
		return identity.Anyone{Tenant: noAuthTenant().Name}, nil
	}
	var chain identity.Chain
	if len(a.Tokens) > 0 || a.TokensFile != "" {
		ts, err := identity.NewTokens(a.Tokens, p.Now)
		if err != nil {
			return nil, fmt.Errorf("gateway.auth: %w", err)
		}
		if err := g.openTokens(ts); err != nil {
			return nil, err
		}
		chain = append(chain, ts)
	}
	if len(a.OIDC) > 0 {
		all, err := identity.NewIssuers(a.OIDC, p.HTTP, p.Now)
		if err != nil {
			return nil, fmt.Errorf("gateway.auth.oidc: %w", err)
		}
		chain = append(chain, all)
	}
	if len(a.Workloads) > 0 {
		c, err := identity.NewCertificates(a.Workloads, g.tls.trusts, p.Now)
		if err != nil {
			return nil, fmt.Errorf("gateway.auth.workloads: %w", err)
		}
		chain = append(chain, c)
	}
	return chain, nil
}

// openTokens adds those of the file, which may change: an empty list ends them all.
func (g *Gateway) openTokens(ts *identity.Tokens) error {
	a := g.cfg.Auth
	if a.TokensFile == "" {
		return nil
	}
	others := len(a.Tokens) > 0 || len(a.OIDC) > 0 || len(a.Workloads) > 0
	first := true
	return g.open("gateway.auth.tokens_file", []string{a.TokensFile}, func(files [][]byte) error {
		var list []identity.Token
		if err := yaml.Unmarshal(files[0], &list); err != nil {
			return fmt.Errorf("it is no list of tokens: %w", err)
		}
		if first && len(list) == 0 && !others {
			return errNoTokens
		}
		first = false
		return ts.Replace(append(list, a.Tokens...))
	})
}

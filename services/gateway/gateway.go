package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
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
	auth    identity.Authenticator
	tenants map[string]*tenant
	topic   *topic
	handles *handles
	fates   *fates
	keys    *memory
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
	g := &Gateway{cfg: p.Config, parts: p, log: p.Log, tenants: map[string]*tenant{}, slots: make(chan struct{}, p.Config.Limits.Uploads), metrics: newMetrics()}
	var err error
	if g.auth, err = newAuth(p); err != nil {
		return nil, err
	}
	list := p.Config.Tenants
	if p.Config.Auth.None {
		list = append([]Tenant{noAuthTenant()}, list...)
	}
	for _, t := range list {
		if g.tenants[t.Name], err = newTenant(t, p.Config.Limits); err != nil {
			return nil, err
		}
	}
	if g.handles, err = openHandles(ctx, p.Store, p.Config.HandleKey, p.Topic); err != nil {
		return nil, err
	}
	g.topic = newTopic(p.Queue, p.Topic, p.Config.Limits)
	g.fates = newFates(store.Plain{Store: p.Store})
	g.keys = newMemory(p.Config.Limits.Idempotency, p.Config.Limits.IdempotencyKeys)
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
func newAuth(p Parts) (identity.Authenticator, error) {
	a := p.Config.Auth
	if a.None {
		return identity.Anyone{Tenant: noAuthTenant().Name}, nil
	}
	tokens := a.Tokens
	if a.TokensFile != "" {
		more, err := readTokens(a.TokensFile)
		if err != nil {
			return nil, fmt.Errorf("gateway.auth.tokens_file: %w", err)
		}
		tokens = append(more, tokens...)
	}
	var chain identity.Chain
	if len(tokens) > 0 {
		ts, err := identity.NewTokens(tokens, p.Now)
		if err != nil {
			return nil, fmt.Errorf("gateway.auth: %w", err)
		}
		chain = append(chain, ts)
	}
	if len(a.OIDC) > 1 {
		return nil, errors.New("gateway.auth.oidc lists several issuers: one is supported")
	}
	for _, i := range a.OIDC {
		o, err := identity.NewOIDC(i, p.HTTP, p.Now)
		if err != nil {
			return nil, fmt.Errorf("gateway.auth.oidc: %w", err)
		}
		chain = append(chain, o)
	}
	if len(a.Workloads) > 0 {
		c, err := identity.NewCertificates(a.Workloads)
		if err != nil {
			return nil, fmt.Errorf("gateway.auth.workloads: %w", err)
		}
		chain = append(chain, c)
	}
	if len(chain) == 0 {
		return nil, errors.New("gateway.auth: there is not one token in the file, and no other way to know callers")
	}
	return chain, nil
}

// maxTokensFile bounds the file of tokens.
const maxTokensFile = 4 << 20

func readTokens(path string) ([]identity.Token, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if st.Size() > maxTokensFile {
		return nil, fmt.Errorf("%s has %d bytes; %d are allowed", path, st.Size(), maxTokensFile)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var list []identity.Token
	if err := yaml.Unmarshal(b, &list); err != nil {
		return nil, fmt.Errorf("%s is not a list of tokens: %w", path, err)
	}
	return list, nil
}

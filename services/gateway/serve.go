package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"
)

// Server is a gateway that listens.
type Server struct {
	g      *Gateway
	http   *http.Server
	listen net.Listener
	served chan error
}

const maxHeaderBytes = 32 << 10

// Serve listens at the configuration's address and serves in the background, until Stop.
func (g *Gateway) Serve() (*Server, error) {
	s := &Server{g: g, served: make(chan error, 1)}
	config, err := g.tls.config(), error(nil)
	s.http = &http.Server{
		Handler: g.mux, ReadHeaderTimeout: g.cfg.Limits.Header, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: maxHeaderBytes, TLSConfig: config,
		// Its lines have addresses of strangers and bytes that they sent.
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
	if s.listen, err = net.Listen("tcp", g.cfg.Listen); err != nil {
		return nil, fmt.Errorf("the gateway's address: %w", err)
	}
	go func() {
		if config != nil {
			s.served <- s.http.ServeTLS(s.listen, "", "")
			return
		}
		s.served <- s.http.Serve(s.listen)
	}()
	return s, nil
}

// Addr is where it listens.
func (s *Server) Addr() string { return s.listen.Addr().String() }

// Failed gives the error with which serving ended, if it was not Stop that ended it.
func (s *Server) Failed() <-chan error { return s.served }

// Stop drains: it says that it is not ready, serves on for the time that load balancers
// need to see it, then takes nothing new and waits for the requests under way. Once ctx
// is done it cuts what is left.
func (s *Server) Stop(ctx context.Context) error {
	s.g.drains.Store(true)
	select {
	case <-time.After(s.g.cfg.Drain):
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(ctx, s.g.cfg.Finish)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("requests were cut off: %w", err), s.http.Close())
	}
	<-s.served
	return err
}

// hostOf is a Host header without its port.
func hostOf(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		return h
	}
	return strings.Trim(host, "[]")
}

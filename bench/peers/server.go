package peers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/cli"
	"github.com/cloakroom-dev/cloakroom/bench/scenario"
	"github.com/valyala/fasthttp"
)

const (
	shutdownTimeout = 5 * time.Second
	// askTimeout is how long a store may take.
	askTimeout = 5 * time.Second
)

// Server is the bare HTTP server before every peer. It answers a search by user and date, and a Get, by Peer, and
// a verify by Gate, with as many bytes as Pad has: shorter answers are filled up, longer ones cut off. To all else,
// and to everything if there is neither, it answers Pad.
type Server struct {
	Peer        Peer
	Gate        Gate
	Pad         []byte
	WriteBuffer int // bytes that one write takes
}

// Serve answers on a listener until ctx ends.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	server := &fasthttp.Server{
		Handler:               s.handle,
		NoDefaultServerHeader: true,
		CloseOnShutdown:       true,
		WriteBufferSize:       s.WriteBuffer,
		ReadTimeout:           time.Minute,
		WriteTimeout:          time.Minute,
	}
	return cli.ServeUntil(ctx, func() error { return server.Serve(listener) }, func() error {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		err := server.ShutdownWithContext(end)
		_ = listener.Close() // Shutdown ends nothing where Serve has not begun yet
		return err
	})
}

func (s *Server) handle(http *fasthttp.RequestCtx) {
	http.SetContentType("application/json")
	if s.Gate != nil && string(http.Path()) == scenario.VerifyPath {
		s.pass(http)
		return
	}
	if s.Peer != nil {
		path := string(http.Path())
		if http.IsPost() && path == scenario.SearchPath {
			s.answer(http, s.search)
			return
		}
		if _, isSession := strings.CutPrefix(path, scenario.SessionPath); isSession && http.IsGet() {
			s.answer(http, s.get)
			return
		}
	}
	http.Response.SetBodyRaw(s.Pad)
}

// answer sends a body that ask returns, with exactly as many bytes as the pad has.
func (s *Server) answer(http *fasthttp.RequestCtx, ask func(ctx context.Context, http *fasthttp.RequestCtx) ([]byte, error)) {
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	body, err := ask(ctx, http)
	switch {
	case errors.Is(err, ErrNotFound):
		http.Error(`{"pad":"not found"}`, fasthttp.StatusNotFound)
	case err != nil:
		http.Error(fmt.Sprintf(`{"pad":%q}`, err.Error()), fasthttp.StatusServiceUnavailable)
	default:
		http.Response.SetBodyRaw(exactly(body, len(s.Pad)))
	}
}

func (s *Server) search(ctx context.Context, http *fasthttp.RequestCtx) ([]byte, error) {
	user := scenario.Field(http.PostBody(), `"userIdQuery":{"id":"`)
	since, err := time.Parse(time.RFC3339, string(scenario.Field(http.PostBody(), `"creationDateQuery":{"creationDate":"`)))
	if user == nil || err != nil {
		return nil, errors.New("not a search by user and creation date")
	}
	found, err := s.Peer.Search(ctx, string(user), since)
	if err != nil {
		return nil, err
	}
	body := make([]byte, 0, len(s.Pad)+4096)
	body = append(body, `{"details":{"totalResult":"`...)
	body = strconv.AppendInt(body, int64(found.Total), 10)
	body = append(body, `"},"sessions":[`...)
	for i, session := range found.Sessions {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, session...)
	}
	return append(body, `]}`...), nil
}

func (s *Server) get(ctx context.Context, http *fasthttp.RequestCtx) ([]byte, error) {
	session, err := s.Peer.Get(ctx, string(http.Path()[len(scenario.SessionPath):]))
	if err != nil {
		return nil, err
	}
	body := make([]byte, 0, len(s.Pad)+1024)
	body = append(body, `{"session":`...)
	body = append(body, session...)
	return append(body, '}'), nil
}

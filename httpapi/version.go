package httpapi

import (
	"context"
	"net/http"

	"github.com/cloakroom-dev/cloakroom/internal/protojson"
)

// version answers GET /version.
func (s *Server) version(_ context.Context, c *call) error {
	c.begin(0)
	c.out = append(c.out, `{"version":`...)
	c.out = protojson.AppendString(c.out, s.config.Version)
	return c.end(http.StatusOK)
}

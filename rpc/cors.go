package rpc

import (
	"net/http"
	"slices"

	"github.com/cloakroom-dev/cloakroom/httpapi"
)

// Pages may send and read gRPC-Web's own headers, in addition to those of httpapi.
const (
	corsHeaders = httpapi.CORSHeaders + ", Connect-Accept-Encoding, Connect-Content-Encoding, Grpc-Accept-Encoding, Grpc-Encoding, Grpc-Timeout, X-Grpc-Web"
	corsExposed = httpapi.CORSExposed + ", Grpc-Message, Grpc-Status, Grpc-Status-Details-Bin"
	corsMethods = "GET, POST"
)

// withCORS lets web pages of these origins call next, by gRPC-Web and Connect, and read
// its answers (the Fetch standard).
func withCORS(next http.Handler, origins []string) http.Handler {
	if len(origins) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origin, h := r.Header.Get("Origin"), w.Header()
		h.Set("Vary", "Origin")
		if !slices.Contains(origins, origin) {
			next.ServeHTTP(w, r)
			return
		}
		h.Set("Access-Control-Allow-Origin", origin)
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			h.Set("Access-Control-Allow-Methods", corsMethods)
			h.Set("Access-Control-Allow-Headers", corsHeaders)
			h.Set("Access-Control-Max-Age", httpapi.PreflightSeconds)
			w.WriteHeader(http.StatusNoContent)
			return
		}
		h.Set("Access-Control-Expose-Headers", corsExposed)
		next.ServeHTTP(w, r)
	})
}

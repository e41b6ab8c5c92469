package httpapi

import (
	"context"
	"log/slog"
	"net/netip"

	"github.com/valyala/fasthttp"
)

// Every line of the log about a stranger, whose credential is not known, says
// where the request came from: by ClientKey and ClientNetKey, or by ProxyKey if
// trusted proxies do not say. Strangers can send any number of requests, so the
// program logs one line of them for each message and network in a minute.
const (
	// ClientKey is the attribute with the client's address.
	ClientKey = "client"
	// ClientNetKey is the attribute with the network that counts as one client: an
	// IPv4 address, or 64 bits of an IPv6 address, of which everybody has as many
	// as he likes.
	ClientNetKey = "client_net"
	// ProxyKey is the attribute with the trusted proxy that the request came
	// through, "unix" for one on a unix socket.
	ProxyKey = "proxy"
)

// credentialRefused is the message of a line about a credential that nobody has.
// The filter in deploy/fail2ban reads it.
const credentialRefused = "credential refused"

// logStranger logs a refusal of a stranger. The first attributes say where it
// came from: the filter relies on it.
func (s *Server) logStranger(ctx context.Context, http *fasthttp.RequestCtx, level slog.Level, message string, attrs ...slog.Attr) {
	if !s.log.Enabled(ctx, level) {
		return
	}
	all := make([]slog.Attr, 0, 8)
	switch client, known := s.config.TrustedProxies.client(http.RemoteAddr(), http.Request.Header.PeekAll(fasthttp.HeaderXForwardedFor)); {
	case known:
		all = append(all, slog.String(ClientKey, client.String()), slog.String(ClientNetKey, clientNet(client).String()))
	case client.IsValid():
		all = append(all, slog.String(ProxyKey, client.String()))
	default:
		all = append(all, slog.String(ProxyKey, "unix"))
	}
	s.log.LogAttrs(ctx, level, message, append(all, attrs...)...)
}

// clientNet is the network that counts as one client.
func clientNet(client netip.Addr) netip.Prefix {
	return netip.PrefixFrom(client, min(client.BitLen(), 64)).Masked()
}

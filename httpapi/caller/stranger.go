package caller

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"

	"github.com/cloakroom-dev/cloakroom/internal/session"
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

// CredentialRefused is the message of a line about a credential that may have
// been guessed. The filter in deploy/fail2ban reads it.
const CredentialRefused = "credential refused"

// leastSecret is the length in bytes of the shortest token that nobody guesses:
// 128 bits in base64.
const leastSecret = 22

// Guess says whether a token that was refused may have been guessed: no session is
// known that had it, which unknown says, and it has the form of an API key, or is
// short enough. Any other may be of a session that has ended, or the one before of a
// session that lives: Redis forgets a session at its expiration date, and a deletion
// after a day, and tokens that somebody else made have any form.
func Guess(token []byte, unknown bool) bool {
	switch {
	case !unknown:
		return false
	case bytes.HasPrefix(token, []byte(apiKeyPrefix)):
		_, ours := session.SplitToken(string(token)) // of a session whose ID begins like a key
		return !ours
	}
	return len(token) < leastSecret && !placeholder(token)
}

// placeholder says whether a token is what web pages send that have none.
func placeholder(token []byte) bool {
	return len(token) == 0 || string(token) == "null" || string(token) == "undefined"
}

// LogStranger logs to log that the request of a stranger was refused. The first
// attributes say where it came from, as p believes it: the filter in deploy/fail2ban
// relies on it.
func (p *TrustedProxies) LogStranger(ctx context.Context, log *slog.Logger, http *fasthttp.RequestCtx, level slog.Level, message string, attrs ...slog.Attr) {
	if !log.Enabled(ctx, level) {
		return
	}
	log.LogAttrs(ctx, level, message, append(p.From(http), attrs...)...)
}

// From returns the attributes that say where a request came from, as p believes it.
func (p *TrustedProxies) From(http *fasthttp.RequestCtx) []slog.Attr {
	all := make([]slog.Attr, 0, 8)
	switch client, known := p.client(http.RemoteAddr(), http.Request.Header.PeekAll(fasthttp.HeaderXForwardedFor)); {
	case known:
		all = append(all, slog.String(ClientKey, client.String()), slog.String(ClientNetKey, clientNet(client).String()))
	case client.IsValid():
		all = append(all, slog.String(ProxyKey, client.String()))
	default:
		all = append(all, slog.String(ProxyKey, "unix"))
	}
	return all
}

// ClientNet is the network that counts as the client of a request, as p believes it: that of the last trusted proxy if it does not say which client
// it has, and the zero Prefix behind a unix socket.
func (p *TrustedProxies) ClientNet(http *fasthttp.RequestCtx) netip.Prefix {
	client, _ := p.client(http.RemoteAddr(), http.Request.Header.PeekAll(fasthttp.HeaderXForwardedFor))
	if !client.IsValid() {
		return netip.Prefix{}
	}
	return clientNet(client)
}

// clientNet is the network that counts as one client.
func clientNet(client netip.Addr) netip.Prefix {
	return netip.PrefixFrom(client, min(client.BitLen(), 64)).Masked()
}

package verify

import (
	"net"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/caller"
	"github.com/valyala/fasthttp"
)

func TestVerify_Patience(t *testing.T) {
	proxies, err := caller.ParseTrustedProxies(caller.DefaultTrustedProxies)
	if err != nil {
		t.Fatal(err)
	}
	e := &Endpoint{Dependencies: Dependencies{Timeout: DefaultTimeout, Proxies: proxies}}
	for text, want := range map[string]time.Duration{
		"": DefaultTimeout, "0": leastVerifyTime, "10": leastVerifyTime, "50": 45 * time.Millisecond, "100": 90 * time.Millisecond, "200": DefaultTimeout,
		"99999999999999": DefaultTimeout, "-5": DefaultTimeout, "1e9": DefaultTimeout,
	} {
		for _, peer := range []struct {
			addr    net.Addr
			trusted bool
		}{
			{&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, true},
			{&net.TCPAddr{IP: net.IPv6loopback}, true},
			{&net.UnixAddr{}, true},
			{&net.TCPAddr{IP: net.IPv4(10, 0, 0, 1)}, false},
		} {
			want := want
			if !peer.trusted {
				want = DefaultTimeout
			}
			v := verification{s: e, http: requestOf(peer.addr, "X-Envoy-Expected-Rq-Timeout-Ms", text)}
			if got := v.patience(); got != want {
				t.Errorf("%q from %v: %v, want %v", text, peer.addr, got, want)
			}
		}
	}
	// The trusted proxies are a setting.
	if e.Proxies, err = caller.ParseTrustedProxies("10.0.0.0/8"); err != nil {
		t.Fatal(err)
	}
	for ip, want := range map[string]time.Duration{"10.0.0.1": 45 * time.Millisecond, "127.0.0.1": DefaultTimeout} {
		v := verification{s: e, http: requestOf(&net.TCPAddr{IP: net.ParseIP(ip), Port: 4711}, "X-Envoy-Expected-Rq-Timeout-Ms", "50")}
		if got := v.patience(); got != want {
			t.Errorf("from %s: %v, want %v", ip, got, want)
		}
	}
}

// requestOf is a request of a peer, with one header.
func requestOf(peer net.Addr, name, value string) *fasthttp.RequestCtx {
	ctx := new(fasthttp.RequestCtx)
	ctx.Init(&fasthttp.Request{}, peer, nil)
	ctx.Request.Header.Set(name, value)
	return ctx
}

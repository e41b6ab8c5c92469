package gateways

import (
	"net/http"
	"slices"
	"testing"
	"time"
)

// server returns the server of an entry point with its limits, or Traefik's.
func (traefik) server(t *testing.T, entry object) *http.Server {
	t.Helper()
	server := &http.Server{ReadTimeout: time.Minute, MaxHeaderBytes: 1 << 20}
	if entry["transport"] != nil {
		server.ReadTimeout = duration(t, entry, "transport/respondingTimeouts/readTimeout")
	}
	if entry["http"] != nil {
		server.MaxHeaderBytes = at[int](t, entry, "http/maxHeaderBytes")
	}
	return server
}

// isOn says whether a router is on the entry point of that name: one that names none is on those that are asDefault, or on all if
// there are none.
func (traefik) isOn(t *testing.T, static object, name string, router any) bool {
	t.Helper()
	if names, ok := router.(object)["entryPoints"].([]any); ok {
		return slices.Contains(texts(names), name)
	}
	byDefault := map[string]bool{}
	for name, entry := range static {
		if entry.(object)["asDefault"] == true {
			byDefault[name] = true
		}
	}
	return len(byDefault) == 0 || byDefault[name]
}

// A router of a user's that names no entry point is not on the one for Cloakroom.
func TestTraefik_RouterWithoutEntryPoints(t *testing.T) {
	t.Parallel()
	g := traefik{edited(t, "traefik/dynamic.yaml", func(conf object) object {
		at[object](t, conf, "http/routers")["yours"] = object{"rule": "PathPrefix(`/yours`)", "service": "application"}
		return conf
	})}
	app := startChat(t)
	static := at[object](t, readYAML[object](t, nil, "traefik/traefik.yaml"), "entryPoints")
	conf := g.conf(t, "127.0.0.1:8081", app.addr, "127.0.0.1:8082")
	for name, want := range map[string]int{"web": http.StatusOK, "cloakroom": http.StatusNotFound} {
		if response, _ := send(t, g.entryPoint(t, static, name, conf), request{target: "/yours"}); response.StatusCode != want {
			t.Errorf("%s answers %d, want %d", name, response.StatusCode, want)
		}
	}
}

package gateways

import (
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/redistest"
)

// startProgram starts a real Oathkeeper, where somebody has built one (go test ./test/gateways -args -oathkeeper PATH). All that
// holds for the double has to hold for it.
func (o oathkeeper) startProgram(t *testing.T, verify, application string) string {
	t.Helper()
	addr, dir := redistest.FreeAddr(t), t.TempDir()
	listens := func(addr string) string { return "{host: 127.0.0.1, port: " + portOf(t, addr) + "}" }
	rules := deployed(t, dir, "oathkeeper/rules.yaml", "127.0.0.1:3000", application)
	conf := deployed(t, dir, "oathkeeper/config.yaml", "/etc/oathkeeper/rules.yaml", rules, "127.0.0.1:8081", verify,
		"    port: 8080\n", "    host: 127.0.0.1\n    port: "+portOf(t, addr)+"\n",
		"serve:\n", "serve:\n  api: "+listens(redistest.FreeAddr(t))+"\n  prometheus: "+listens(redistest.FreeAddr(t))+"\n")
	start(t, "oathkeeper", "http://"+addr+"/", o.bin, "serve", "--config", conf, "--disable-telemetry", "--sqa-opt-out")
	return addr
}

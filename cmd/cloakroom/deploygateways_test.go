package main

import (
	"net"
	"regexp"
	"strings"
	"testing"
)

// The program, started as docs/gateways.md says, and a gateway with its file have no two listeners on one port, and the
// gateway asks the program.
func TestGatewaysDocumentFitsTheExamples(t *testing.T) {
	text := readDoc(t, "../../docs/gateways.md")
	command := regexp.MustCompile(`(?m)^ {4}cloakroom dev (.+)$`).FindStringSubmatch(text)
	where := regexp.MustCompile(`the application is on\s+(\S+), and the gateway on port (\d+)`).FindStringSubmatch(text)
	if command == nil || where == nil {
		t.Fatal("docs/gateways.md does not say how to start the program, or where the application and the gateway are")
	}
	application, gateway := where[1], where[2]
	c, err := loadWith(t, with(strings.Fields(command[1])...), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Value("verify-credentials"); got != gatewayCredentials {
		t.Errorf("verify takes tokens from %s", got)
	}
	verify := c.Value("verify-addr")
	taken := map[string]string{}
	for name, addr := range map[string]string{
		"the API": c.Listen.HTTP, "verify": verify, "the admin listener": c.Listen.Admin, "the application": application, "the gateway": net.JoinHostPort("", gateway),
	} {
		if other, ok := taken[port(t, addr)]; ok {
			t.Errorf("%s and %s have the port %s", name, other, port(t, addr))
		}
		taken[port(t, addr)] = name
	}
	for file, listens := range map[string]string{
		"nginx/cloakroom.conf": `listen (\d+)[ ;]`, "haproxy/haproxy.cfg": `bind :(\d+)\n`, "caddy/Caddyfile": `\n:(\d+) {`, "traefik/traefik.yaml": `web:\n    address: ":(\d+)"`,
		"envoy/envoy.yaml": `name: public\n.*port_value: (\d+)`, "oathkeeper/config.yaml": `proxy:\n    port: (\d+)`, "apisix/config.yaml": `node_listen: (\d+)`,
	} {
		found := regexp.MustCompile(listens).FindStringSubmatch(readDoc(t, deployments+file))
		if found == nil || found[1] != gateway {
			t.Errorf("deploy/%s listens on %q, docs/gateways.md says %s", file, found, gateway)
		}
	}
	for _, file := range []string{
		"nginx/cloakroom.conf", "haproxy/haproxy.cfg", "caddy/Caddyfile", "traefik/dynamic.yaml", "envoy/envoy.yaml", "oathkeeper/config.yaml", "apisix/apisix.yaml",
	} {
		if text := readDoc(t, deployments+file); !strings.Contains(text, verify) && !strings.Contains(text, "address: 127.0.0.1, port_value: "+port(t, verify)) {
			t.Errorf("deploy/%s does not ask %s", file, verify)
		}
	}
}

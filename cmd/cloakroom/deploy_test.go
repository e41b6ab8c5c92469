package main

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/caller"
	"github.com/cloakroom-dev/cloakroom/internal/config"
	"github.com/cloakroom-dev/cloakroom/internal/listen"
	"github.com/cloakroom-dev/cloakroom/internal/testfile"
	"go.yaml.in/yaml/v3"
)

// deployments is where the examples are that these tests tie to the program: its settings, its ports, its times.
const deployments = "../../deploy/"

// documents decodes every document of a YAML file.
func documents[T any](t *testing.T, path string) []T {
	t.Helper()
	var all []T
	for d := yaml.NewDecoder(strings.NewReader(readDoc(t, path))); ; {
		var one T
		err := d.Decode(&one)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all = append(all, one)
	}
	if len(all) == 0 {
		t.Fatalf("%s is empty", path)
	}
	return all
}

// gatewayCredentials are the places where verify has to look for tokens, so that the examples for gateways work.
const gatewayCredentials = "bearer,x-session-token,cookie:session_token"

// deployed is an example that starts the program.
type deployed struct {
	name      string
	args, env []string // args without "serve"
	// files are those that args and env name, by their path in the example.
	files map[string]string
	// stop is how long the program may take to end.
	stop time.Duration
}

// effective returns the settings that the example gives the program, which must be good and without a warning.
func (d deployed) effective(t *testing.T) *config.Config {
	t.Helper()
	dir := t.TempDir()
	var paths []string
	for path := range d.files {
		paths = append(paths, path, filepath.Join(dir, filepath.Base(path)))
	}
	here := strings.NewReplacer(paths...)
	for path, text := range d.files {
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(path)), []byte(here.Replace(text)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var args, env []string
	for _, a := range d.args {
		args = append(args, here.Replace(a))
	}
	for _, e := range d.env {
		env = append(env, here.Replace(e))
	}
	c, err := loadWith(t, args, env)
	if err != nil {
		t.Fatalf("%s: %v", d.name, err)
	}
	if len(c.Warnings) > 0 {
		t.Errorf("%s: %v", d.name, c.Warnings)
	}
	if c.API.Anonymous || c.APIKeys == nil {
		t.Errorf("%s: needs API keys", d.name)
	}
	if c.RedisURL.Options == nil {
		t.Errorf("%s: has no Redis: %s", d.name, c.RedisURL.Masked)
	}
	if listen.Loopback(c.Listen.Admin) && c.Pprof {
		t.Errorf("%s: pprof is open", d.name)
	}
	if got := c.Value("verify-credentials"); got != gatewayCredentials {
		t.Errorf("%s: verify takes tokens from %s, the examples for gateways need %s", d.name, got, gatewayCredentials)
	}
	if addr := c.Value("verify-addr"); addr != "" && !strings.HasPrefix(addr, "unix:") && !listen.Loopback(addr) && c.Value("trusted-proxies") == caller.DefaultTrustedProxies {
		t.Errorf("%s: gateways reach verify at %s, and are not among the trusted proxies", d.name, addr)
	}
	if least := c.ShutdownTimeout + 5*time.Second; d.stop < least {
		t.Errorf("%s: is given %v to end, and needs %v", d.name, d.stop, least)
	}
	return c
}

// port returns the port of an address.
func port(t *testing.T, addr string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// memory reads a quantity such as 512Mi, 460MiB or 2g as bytes.
func memoryOf(t *testing.T, text string) int {
	t.Helper()
	m := regexp.MustCompile(`(?i)^(\d+)([mg])i?b?$`).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("%q is no size", text)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	if strings.EqualFold(m[2], "g") {
		return n << 30
	}
	return n << 20
}

// fits says whether the near cache, what Go collects at, and what the container may take are in this order.
func fits(t *testing.T, name string, c *config.Config, env []string, limit string) {
	t.Helper()
	goal := ""
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, "GOMEMLIMIT="); ok {
			goal = v
		}
	}
	if soft, hard := memoryOf(t, goal), memoryOf(t, limit); c.Store.NearBytes > soft*2/3 || soft > hard*95/100 {
		t.Errorf("%s: near cache %d, GOMEMLIMIT %d, limit %d", name, c.Store.NearBytes, soft, hard)
	}
}

// image is what the Dockerfile says about the last stage.
func image(t *testing.T) (env []string, lines map[string]string) {
	t.Helper()
	lines = map[string]string{}
	_, last, ok := strings.Cut(readDoc(t, "../../Dockerfile"), "FROM scratch")
	if !ok {
		t.Fatal("the image is not from scratch")
	}
	for line := range strings.Lines(last) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		lines[word] = rest
	}
	return strings.Fields(lines["ENV"]), lines
}

func TestImageServesTheExamples(t *testing.T) {
	env, lines := image(t)
	c, err := loadWith(t, nil, append(env, "CLOAKROOM_REDIS_URL=redis://r", "CLOAKROOM_AUTH_KEYS_FILE="+testfile.Write(t, testfile.OneKey)))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Warnings) > 0 {
		t.Error(c.Warnings)
	}
	for _, addr := range []string{c.Listen.HTTP, c.Listen.Admin} {
		if listen.Loopback(addr) || !slices.Contains(strings.Fields(lines["EXPOSE"]), port(t, addr)) {
			t.Errorf("%s is not exposed: %s", addr, lines["EXPOSE"])
		}
	}
	for word, want := range map[string]string{"USER": "65532:65532", "ENTRYPOINT": `["/cloakroom"]`, "CMD": `["serve"]`} {
		if lines[word] != want {
			t.Errorf("%s %s, want %s", word, lines[word], want)
		}
	}
	if _, check, _ := strings.Cut(lines["HEALTHCHECK"], "CMD "); check != `["/cloakroom", "health"]` {
		t.Errorf("HEALTHCHECK %s", check)
	}
}

// unitOf reads a unit of systemd.
func unitOf(t *testing.T, name string) map[string][]string {
	t.Helper()
	unit := map[string][]string{}
	for line := range strings.Lines(readDoc(t, deployments+"systemd/"+name)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(name, "#") {
			unit[name] = append(unit[name], value)
		}
	}
	return unit
}

// The sockets are those that the program takes, and others do not reach them.
func TestSystemdSockets(t *testing.T) {
	requires := strings.Fields(strings.Join(unitOf(t, "cloakroom.service")["Requires"], " "))
	closes := strings.Fields(strings.Join(unitOf(t, "cloakroom-failed.target")["Conflicts"], " "))
	for name, want := range map[string]string{"http": "127.0.0.1:8080", "verify": "%t/cloakroom/verify.sock"} {
		file := "cloakroom-" + name + ".socket"
		unit := unitOf(t, file)
		for key, want := range map[string]string{
			"ListenStream": want, "FileDescriptorName": name, "Service": "cloakroom.service", "TriggerLimitIntervalSec": "0",
		} {
			if got := strings.Join(unit[key], ","); got != want {
				t.Errorf("%s: %s=%s, want %s", file, key, got, want)
			}
		}
		if !slices.Contains(requires, file) {
			t.Errorf("the service does not require %s", file)
		}
		if !slices.Contains(closes, file) {
			t.Errorf("a service that has failed leaves %s open", file)
		}
		if mode := strings.Join(unit["SocketMode"], ","); strings.HasPrefix(want, "%t") && mode != "0660" {
			t.Errorf("%s: SocketMode=%s", file, mode)
		}
	}
}

func TestSystemdUnitRunsTheProgram(t *testing.T) {
	unit := unitOf(t, "cloakroom.service")
	one := func(name string) string {
		t.Helper()
		if len(unit[name]) != 1 {
			t.Fatalf("%s is there %d times", name, len(unit[name]))
		}
		return unit[name][0]
	}
	args := strings.Fields(one("ExecStart"))
	if args[0] != "/usr/local/bin/cloakroom" || args[1] != "serve" {
		t.Fatalf("it runs %s", args)
	}
	stop, err := time.ParseDuration(one("TimeoutStopSec") + "s")
	if err != nil {
		t.Fatal(err)
	}
	c := deployed{
		name: "systemd", args: args[2:], stop: stop,
		files: map[string]string{"%d/cloakroom.yaml": readDoc(t, deployments+"systemd/cloakroom.yaml"), "/etc/cloakroom/keys.yaml": testfile.OneKey},
	}.effective(t)
	if !listen.Loopback(c.Listen.Admin) || !listen.Loopback(c.Listen.HTTP) {
		t.Error("a listener is open to other machines")
	}
	if !strings.HasPrefix(one("LoadCredential"), "cloakroom.yaml:") {
		t.Errorf("there is no credential cloakroom.yaml, but %s", one("LoadCredential"))
	}
	for name, want := range map[string]string{
		"Type": "notify", "NoNewPrivileges": "yes", "CapabilityBoundingSet": "", "ProtectSystem": "strict", "MemoryDenyWriteExecute": "yes",
		"RestartPreventExitStatus": "2", "RestartSec": "0", "StartLimitIntervalSec": "0", "User": "cloakroom",
		"OnFailure": "cloakroom-failed.target", "OnFailureJobMode": "fail", "Environment": "GOTRACEBACK=crash", "LimitCORE": "0",
	} {
		if got := strings.Join(unit[name], ","); got != want {
			t.Errorf("%s=%s, want %s", name, got, want)
		}
	}
	if !strings.Contains(readDoc(t, deployments+"systemd/cloakroom.sysusers"), "\nu "+one("User")+" ") {
		t.Error("nobody makes the user")
	}
}

// The documents may be read without the files; what they say of them holds.
func TestDeploymentDocumentNamesTheFiles(t *testing.T) {
	text := readDoc(t, "../../docs/deployment.md")
	for _, name := range []string{"kubernetes/service", "kubernetes/sidecar", "compose.yaml", "compose-secrets", "systemd/cloakroom.service", "systemd/cloakroom-http.socket", "systemd/cloakroom-verify.socket", "systemd/cloakroom-failed.target", "systemd/cloakroom.yaml", "systemd/cloakroom.sysusers"} {
		if _, err := os.Stat(deployments + name); err != nil {
			t.Error(err)
		}
		if !strings.Contains(text, "deploy/"+name) {
			t.Errorf("docs/deployment.md does not name deploy/%s", name)
		}
	}
	known := settingNames(t)
	for _, m := range regexp.MustCompile("`--([a-z][a-z-]*[a-z])").FindAllStringSubmatch(text, -1) {
		if !slices.Contains(known, m[1]) {
			t.Errorf("docs/deployment.md: there is no --%s", m[1])
		}
	}
}

// environment spells a mapping as an environment, sorted.
func environment(vars map[string]string) []string {
	var env []string
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		env = append(env, name+"="+vars[name])
	}
	return env
}

// runsSubcommand says whether the program knows the subcommand, without running it.
func runsSubcommand(t *testing.T, name string) {
	t.Helper()
	var out, log bytes.Buffer
	if code := run(t.Context(), []string{name, "--help"}, nil, &out, &log, nil); code != exitOK {
		t.Errorf("there is no cloakroom %s: %s", name, log.String())
	}
}

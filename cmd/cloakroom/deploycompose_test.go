package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/testfile"
)

// composeFile is what these tests look at; `make deploy-check` holds the whole against the schema.
type composeFile struct {
	Services map[string]struct {
		Image       string
		Command     []string
		Environment map[string]string
		Secrets     []string
		Ports       []string
		ReadOnly    bool     `yaml:"read_only"`
		CapDrop     []string `yaml:"cap_drop"`
		SecurityOpt []string `yaml:"security_opt"`
		User        string
		MemLimit    string `yaml:"mem_limit"`
		Stop        string `yaml:"stop_grace_period"`
		Healthcheck struct{ Test []string }
	}
	Secrets  map[string]struct{ File string }
	Networks map[string]struct {
		IPAM struct{ Config []struct{ Subnet string } }
	}
}

// secretsMade runs compose-secrets, and returns what it made by path in the containers, and the API key.
func secretsMade(t *testing.T, f composeFile) (files map[string]string, key string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "secrets")
	self := selfCommand(t)
	script := exec.Command(deployments+"compose-secrets", dir)
	script.Env = append(self.Env, "CLOAKROOM="+self.Path)
	out, err := script.Output()
	if err != nil {
		t.Fatalf("compose-secrets: %v", err)
	}
	if again := exec.Command(deployments+"compose-secrets", dir); again.Run() == nil {
		t.Error("compose-secrets wrote over what was there")
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory is open: %v, %v", info, err)
	}
	files = map[string]string{}
	for name, s := range f.Secrets {
		if s.File != "./secrets/"+name {
			t.Errorf("the secret %s is in %s", name, s.File)
		}
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o644 { // the users of the containers read it
			t.Errorf("%v, %v", info, err)
		}
		files["/run/secrets/"+name] = readDoc(t, path)
	}
	made, err := os.ReadDir(dir)
	if err != nil || len(made) != len(files) {
		t.Errorf("made %v, wanted are %d: %v", made, len(files), err)
	}
	return files, strings.TrimSpace(string(out))
}

func TestComposeRunsTheProgram(t *testing.T) {
	f := documents[composeFile](t, deployments+"compose.yaml")[0]
	for name, s := range f.Services {
		if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") ||
			s.User == "" || s.MemLimit == "" || len(s.Healthcheck.Test) == 0 {
			t.Errorf("%s is not locked: %+v", name, s)
		}
		for _, p := range s.Ports {
			if !strings.HasPrefix(p, "127.0.0.1:") {
				t.Errorf("%s publishes %s to all", name, p)
			}
		}
	}
	files, _ := secretsMade(t, f)
	own := f.Services["cloakroom"]
	stop, err := time.ParseDuration(own.Stop)
	if err != nil || own.Command[0] != "serve" {
		t.Fatalf("%v, %v", own.Command, err)
	}
	base, _ := image(t)
	env := append(base, environment(own.Environment)...)
	c := deployed{name: "compose", args: own.Command[1:], env: env, files: files, stop: stop}.effective(t)
	fits(t, "compose", c, env, own.MemLimit)
	for _, addr := range []string{c.Listen.HTTP, c.Value("verify-addr")} {
		if p := port(t, addr); !slices.Contains(own.Ports, "127.0.0.1:"+p+":"+p) {
			t.Errorf("%s is not among the ports %v", addr, own.Ports)
		}
	}
	if subnets := f.Networks["gateway"].IPAM.Config; len(subnets) != 1 || subnets[0].Subnet != c.Value("trusted-proxies") {
		t.Errorf("trusted are %s, gateways are in %v", c.Value("trusted-proxies"), subnets)
	}
	if len(own.Ports) != 2 {
		t.Errorf("published are %v", own.Ports)
	}
	if check := own.Healthcheck.Test; !slices.Equal(check, []string{"CMD", "/cloakroom", "health"}) {
		t.Errorf("the health check is %v", check)
	}
	runsSubcommand(t, "health")
}

// The processes of the compose file, with its settings, users and passwords, but without containers: the store works, the
// near cache is on, and without the password Redis answers to PING and to nothing else.
func TestComposeServesSessions(t *testing.T) {
	f := documents[composeFile](t, deployments+"compose.yaml")[0]
	files, key := secretsMade(t, f)
	dir := t.TempDir()
	for path, text := range files {
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(path)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// The lines of redis.conf for "--name value …", without --dir, which is the test's own.
	var conf []string
	for _, word := range f.Services["redis"].Command[1:] {
		if name, ok := strings.CutPrefix(word, "--"); ok {
			conf = append(conf, name)
			continue
		}
		if word == "" {
			word = `""`
		}
		conf[len(conf)-1] += " " + strings.ReplaceAll(word, "/run/secrets", dir)
	}
	conf = slices.DeleteFunc(conf, func(line string) bool { return line == "dir /data" })
	redis := redistest.Start(t, conf...)

	settings := strings.ReplaceAll(files["/run/secrets/cloakroom.yaml"], "@redis:6379", "@"+redis.Addr)
	p := launch(t, append([]string{
		"serve", "--config", testfile.Write(t, settings), "--auth-keys-file", filepath.Join(dir, "keys.yaml"),
		"--verify-credentials", f.Services["cloakroom"].Environment["CLOAKROOM_VERIFY_CREDENTIALS"],
	}, quick()...))
	api, admin := p.ready(t)
	bearer := []string{"Authorization", "Bearer " + key}
	id := create(t, api, "u1", bearer...)
	var put struct{ SessionToken string }
	answer := want(t, 201, "PUT", api+"/v2/sessions/proven?issueToken=true", `{"factors":{"user":{"id":"u2"},"password":{"verifiedAt":"2026-01-01T00:00:00Z"}}}`, bearer...)
	if err := json.Unmarshal([]byte(answer), &put); err != nil {
		t.Fatal(err)
	}
	want(t, 200, "GET", api+"/verify", "", "Cookie", "session_token="+put.SessionToken)
	want(t, 200, "GET", api+"/v2/sessions/"+id, "", bearer...)
	if got := total(t, api, `{"queries":[{"userIdQuery":{"id":"u1"}}]}`, bearer...); got != "1" {
		t.Errorf("got %s sessions", got)
	}
	want(t, 200, "DELETE", api+"/v2/sessions/"+id, "", bearer...)
	awaitAnswer(t, 200, admin+"/readyz?verbose", "near cache: on")

	stranger := redis.Client(t)
	if err := stranger.Ping(t.Context()).Err(); err != nil {
		t.Errorf("the health check: %v", err)
	}
	for _, command := range [][]any{{"GET", "x"}, {"INFO"}, {"CONFIG", "GET", "*"}, {"KEYS", "*"}, {"ACL", "LIST"}} {
		if err := stranger.Do(t.Context(), command...).Err(); err == nil || !strings.Contains(err.Error(), "NOPERM") {
			t.Errorf("%v: %v", command, err)
		}
	}
	if code := p.stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

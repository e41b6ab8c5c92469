package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/testfile"
)

func TestWarningsWithoutALog(t *testing.T) {
	env := []string{"CLOAKROOM_REDIS_ULR=memory:", "CLOAKROOM_LOG_LEVEL=error"}
	const warning = "cloakroom serve: warning: unknown environment variable CLOAKROOM_REDIS_ULR is ignored\n"
	var out, log bytes.Buffer
	if code := run(t.Context(), append([]string{"serve", "--print-config"}, enough...), env, &out, &log, nil); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if log.String() != warning || strings.Contains(out.String(), "warning") {
		t.Errorf("got %q, and\n%s", log.String(), out.String())
	}
	log.Reset()
	if code := run(t.Context(), []string{"serve", "--auth-anonymous"}, env, &out, &log, nil); code != exitUsage {
		t.Errorf("exit code %d", code)
	}
	if !strings.HasPrefix(log.String(), warning+"cloakroom serve: --redis-url is required") {
		t.Errorf("got %q", log.String())
	}
}

func TestPrintConfigKeepsTexts(t *testing.T) {
	for _, v := range []string{"0123", "1e3", "true", "null", "~", "", "a: b", "# c", "2026-01-02"} {
		code, out, log := once(t, append([]string{"serve", "--print-config", "--instance-id=" + v}, enough...)...)
		c, err := loadWith(t, []string{"--config", testfile.Write(t, out)}, nil)
		if code != exitOK || err != nil || c.API.InstanceID != v {
			t.Errorf("%q: %d, %s, %v, printed as\n%s", v, code, log, err, out)
		}
	}
}

func TestI6_PrintConfigMasksAndReads(t *testing.T) {
	const secret = "hunter2"
	args := []string{
		"serve", "--print-config", "--redis-url=redis://user:" + secret + "@redis.example.com:6380/2", "--auth-anonymous",
		"--instance-id=true", "--search-max-limit=2000", "--default-lifetime=12h", "--log-level=debug",
	}
	var out, log bytes.Buffer
	if code := run(t.Context(), args, nil, &out, &log, nil); code != exitOK {
		t.Fatalf("exit code %d: %s", code, log.String())
	}
	if strings.Contains(out.String(), secret) || !strings.Contains(out.String(), "redis-url: redis://user:xxxxx@redis.example.com:6380/2\n") {
		t.Errorf("the password is not masked:\n%s", out.String())
	}
	c, err := loadWith(t, []string{"--config", testfile.Write(t, out.String())}, nil)
	if err != nil {
		t.Fatalf("what is printed is not read: %v\n%s", err, out.String())
	}
	again, _ := loadWith(t, args[2:], nil)
	for _, name := range settingNames(t) {
		v := again.Value(name)
		if name != "redis-url" && name != "config" && c.Value(name) != v {
			t.Errorf("%s: printed %q reads as %q", name, v, c.Value(name))
		}
	}
	if c.API.InstanceID != "true" || c.API.MaxLimit != 2000 || c.API.DefaultLifetime != 12*time.Hour {
		t.Errorf("got %q, %d, %v", c.API.InstanceID, c.API.MaxLimit, c.API.DefaultLifetime)
	}
}

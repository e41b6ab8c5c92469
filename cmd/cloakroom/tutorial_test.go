package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Every command of docs/tutorial.md is typed, in order, in one shell, and prints what the page says. Only these differ: the program is
// there already, ports are free ones, and redis-server may be a valkey-server.
func TestTutorial_EveryCommand(t *testing.T) {
	p := page(t, "tutorial.md", "3000", "6379", "8000", "8080", "8081", "8180", "9090", "9190")
	p.instead = []string{"git clone https://github.com/cloakroom-dev/cloakroom.git\ncd cloakroom\nmake build", "echo 'building bin/cloakroom; the first time this takes a few minutes'"}
	if _, err := exec.LookPath("redis-server"); err != nil {
		valkey, err := exec.LookPath("valkey-server")
		if err == nil {
			err = os.Symlink(valkey, filepath.Join(p.dir, "bin", "redis-server"))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	p.env = append(p.env, "CLOAKROOM_HTTP_ADDR=127.0.0.1:8080", "CLOAKROOM_ADMIN_ADDR=127.0.0.1:9090")
	p.typeAll(t)
}

// Every recipe of docs/recipes.md does what it says: its commands are typed as those of the tutorial are.
func TestRecipes_EveryCommand(t *testing.T) {
	p := page(t, "recipes.md", "8080", "9090")
	p.env = append(p.env, "CLOAKROOM_HTTP_ADDR=127.0.0.1:8080", "CLOAKROOM_ADMIN_ADDR=127.0.0.1:9090")
	p.typeAll(t)
}

package gateways

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// outcome is what becomes of a request.
type outcome int

const (
	allowed      outcome = iota
	unauthorized         // verify answers 401
	forbidden            // 403
	unavailable          // 503
	down                 // verify cannot be connected
	late                 // verify answers a good session after 300 ms
)

// gateway is an auth gateway, real or a double, with our configuration for it.
type gateway interface {
	// Name is how the table calls it.
	Name() string
	// Start starts it before the application, asking verify at the address, until the end of the test. It returns where it
	// listens.
	Start(t *testing.T, verify, application string) (addr string)
	// Status is what its clients see of an outcome other than allowed. 200: it waited, and let the request pass.
	Status(outcome) int
}

// gateways are all that there are; the table has them in this order. The first three are real.
var gateways = []gateway{nginx{}, haproxy{}, caddy{}, traefik{}, envoy{}, oathkeeper{}, apisix{}}

// deploy is where the files are that users copy.
const deploy = "../../deploy/"

// deployed writes a file of deploy/ into dir, with each old address or path replaced by what the test has in its place,
// and returns its path. Every old must occur.
func deployed(t *testing.T, dir, name string, oldNew ...string) string {
	t.Helper()
	return (*recipe)(nil).deployed(t, dir, name, oldNew...)
}

// program returns the path of an installed program.
func program(t *testing.T, name string) string {
	t.Helper()
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/local/sbin", "/usr/sbin", "/sbin") {
		if path := filepath.Join(dir, name); dir != "" {
			if info, err := os.Stat(path); err == nil && !info.IsDir() {
				return path
			}
		}
	}
	t.Fatalf("there is no %s on PATH; `make test` installs it, or: apt-get install nginx haproxy caddy php-cli", name)
	return ""
}

// check runs a program that has to agree with its configuration.
func check(t *testing.T, bin string, args ...string) {
	t.Helper()
	if out, err := command(bin, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", bin, strings.Join(args, " "), err, out)
	}
}

package testserver

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/bench/issuer"
)

// Issuer starts a bench issuer with so many tokens of each kind by ES256, and returns its directory. It ends with the test.
func Issuer(t testing.TB, tokens int) (dir string) {
	t.Helper()
	dir = filepath.Join(tempDir(t), "issuer")
	ctx, stop := context.WithCancel(context.Background())
	stdout, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := issuer.Command(ctx, []string{"--dir", dir, "--rs256", "0", "--es256", fmt.Sprint(tokens), "--es256-cold", fmt.Sprint(tokens)}, w, io.Discard)
		w.Close()
		ended <- err
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "listening on ") {
		t.Fatalf("the issuer did not start: %q, %v", line, err)
	}
	return dir
}

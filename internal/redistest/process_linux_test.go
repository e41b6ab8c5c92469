package redistest_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/redistest"
)

// The test runs itself in a second process, which is killed while its server runs.
func TestStart_ServerDiesWithTheTestProcess(t *testing.T) {
	t.Parallel()
	const child = "CLOAKROOM_REDISTEST_CHILD"
	if os.Getenv(child) != "" {
		s := redistest.Start(t)
		fmt.Println(s.Addr, s.Socket)
		select {}
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), child+"=1")
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var addr, socket string
	_, err = fmt.Fscanln(stdout, &addr, &socket)
	var conn net.Conn
	if err == nil {
		conn, err = net.Dial("tcp", addr)
	}
	if killErr := cmd.Process.Kill(); killErr != nil {
		t.Error(killErr)
	}
	_ = cmd.Wait() // says that it was killed
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	defer os.RemoveAll(filepath.Dir(socket)) // the child had no time for it
	if n, err := conn.Read(make([]byte, 1)); err == nil {
		t.Errorf("read %d bytes from a server that was to die", n)
	}
}

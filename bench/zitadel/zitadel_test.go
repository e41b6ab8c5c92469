package zitadel

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The double serves until it is stopped. Its tokens are in a file of its owner alone, and nowhere else.
func TestCommand_ServesUntilItIsStopped(t *testing.T) {
	dir := t.TempDir()
	accounts, ids := filepath.Join(dir, "accounts"), filepath.Join(dir, "ids")
	if err := os.WriteFile(accounts, []byte("of another run"), 0o644); err != nil { // that others can read
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	out, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := Command(ctx, []string{"--accounts", accounts, "--users", "3", "--user-ids", ids, "--create-rate", "0", "--list-lag", "1h"}, w, io.Discard)
		ended <- err
		w.CloseWithError(io.EOF)
	}()
	defer cancel()
	lines := bufio.NewReader(out)
	said, err := lines.ReadString('\n')
	if err != nil {
		t.Fatal(err, <-ended)
	}
	_, url, ok := strings.Cut(strings.TrimSpace(said), " on ")
	if !ok {
		t.Fatalf("it says %q", said)
	}
	info, err := os.Stat(accounts)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the accounts' file: %v, %v", info, err)
	}
	tokens := map[string]string{}
	for line := range strings.Lines(read(t, accounts)) {
		fields := strings.Fields(line)
		if len(fields) != 3 || strings.Contains(said, fields[2]) {
			t.Fatalf("a line of the accounts' file has %d words, and its last must not be printed", len(fields))
		}
		tokens[fields[0]] = fields[2]
	}
	users := strings.Fields(read(t, ids))
	if len(users) != 3 {
		t.Fatalf("%d users", len(users))
	}
	call := func(token, path, body string) (status int, said string) {
		request, err := http.NewRequestWithContext(ctx, "POST", url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		b, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(b)
	}
	for name, want := range map[string]int{"admin": 201, "login": 201, "nobody": 404} {
		if got, body := call(tokens[name], "/v2/sessions", `{"checks":{"user":{"userId":"`+users[2]+`"}}}`); got != want {
			t.Errorf("%s creates a session: status %d, want %d: %s", name, got, want, body)
		}
	}
	if status, list := call(tokens["login"], "/v2/sessions/search", "{}"); status != 200 || strings.Contains(list, users[2]) {
		t.Errorf("a list is not as late as --list-lag says: %d %s", status, list)
	}
	http.DefaultClient.CloseIdleConnections()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if rest, err := io.ReadAll(lines); err != nil || len(rest) > 0 {
		t.Errorf("it also says %q, %v", rest, err)
	}
}

func TestCommand_RefusesBadFlags(t *testing.T) {
	f := func(want string, args ...string) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // one that is taken ends
		var help strings.Builder
		err := Command(ctx, args, io.Discard, &help)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error with %q", args, err, want)
		}
	}
	file := filepath.Join(t.TempDir(), "accounts")
	f("--accounts is required")
	f("--users must be between 0 and 1000000, not -1", "--accounts", file, "--users", "-1")
	f("--user-ids needs --users", "--accounts", file, "--user-ids", file)
	f("--workers must be between 1 and 10000, not 0", "--accounts", file, "--workers", "0")
	f("must not be negative", "--accounts", file, "--get-rate", "-1")
	f("--addr", "--accounts", file, "--addr", "127.0.0.1:99999")
	if _, err := os.Stat(file); err == nil {
		t.Error("a file of a double that was never started")
	}
	var help strings.Builder
	_ = Command(t.Context(), []string{"-h"}, io.Discard, &help)
	for _, want := range []string{"a double of ZITADEL", "174-187", "-get-rate"} {
		if !strings.Contains(help.String(), want) {
			t.Errorf("the help has no %q", want)
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

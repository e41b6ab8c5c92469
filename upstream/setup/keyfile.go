package setup

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/cloakroom-dev/cloakroom/internal/followed"
	"github.com/cloakroom-dev/cloakroom/upstream"
)

// keysIn returns the keys of a file; nil if it is not there, or empty. What has something else is refused.
func keysIn(path string) (keys *upstream.EventKeys, err error) {
	if path == "" {
		return nil, nil
	}
	text, err := followed.Read(path, nil)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		keys, err = parseKeys(path, text)
	}
	if err != nil {
		return nil, fmt.Errorf("--upstream-event-key-file: %w", err)
	}
	return keys, nil
}

func parseKeys(path string, text []byte) (*upstream.EventKeys, error) {
	if len(text) == 0 {
		return nil, nil
	}
	keys, err := upstream.ParseEventKeys(text)
	if err != nil {
		return nil, fmt.Errorf("%s is not changed, for it has something else than signing keys: %w", path, err)
	}
	return keys, nil
}

// keyLines are the numbers of the lines of a file that have keys.
func keyLines(text []byte) (numbers []int) {
	n := 0
	for line := range bytes.Lines(text) {
		if n++; len(bytes.TrimSpace(line)) > 0 {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

// appendKey appends a key to a file, or makes the file. It asks for the key, which is shown once, when nothing but a full
// disk can keep it from being written. Two at once lose none. It returns the number of its line, and those of the keys before it.
func appendKey(path string, ask func() (string, error)) (line int, before []int, err error) {
	_, missing := os.Lstat(path)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return 0, nil, fmt.Errorf("--upstream-event-key-file: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }() // gives up the lock
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return 0, nil, fmt.Errorf("--upstream-event-key-file: locking %s: %w", path, err)
	}
	old, err := followed.Read(path, nil)
	if err == nil {
		_, err = parseKeys(path, old)
	}
	if err != nil {
		return 0, nil, fmt.Errorf("--upstream-event-key-file: %w", err)
	}
	key, err := ask()
	if err != nil {
		if len(old) == 0 && errors.Is(missing, fs.ErrNotExist) {
			err = errors.Join(err, os.Remove(path)) // whoever waits for the lock reads it anew, and fails
		}
		return 0, nil, err
	}
	added := key + "\n"
	if len(old) > 0 && old[len(old)-1] != '\n' {
		added = "\n" + added
	}
	if _, err := upstream.ParseEventKeys([]byte(string(old) + added)); err != nil {
		return 0, nil, fmt.Errorf("the signing key that ZITADEL gave is not written to %s, --new-key gets another: %w", path, err)
	}
	if _, err := f.WriteString(added); err != nil {
		return 0, nil, errors.Join(fmt.Errorf("the signing key is lost, --new-key gets another: %w", err), f.Truncate(int64(len(old))))
	}
	numbers := keyLines([]byte(string(old) + added))
	last := len(numbers) - 1
	return numbers[last], numbers[:last], f.Sync()
}

package setup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/cloakroom-dev/cloakroom/internal/followed"
	"github.com/cloakroom-dev/cloakroom/upstream"
)

// keysIn is how many keys a file has; none if it is not there, or empty. What has something else is refused.
func keysIn(path string) (n int, err error) {
	if path == "" {
		return 0, nil
	}
	text, err := followed.Read(path, nil)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err == nil {
		n, err = countKeys(path, text)
	}
	if err != nil {
		return 0, fmt.Errorf("--upstream-event-key-file: %w", err)
	}
	return n, nil
}

func countKeys(path string, text []byte) (int, error) {
	if len(text) == 0 {
		return 0, nil
	}
	keys, err := upstream.ParseEventKeys(text)
	if err != nil {
		return 0, fmt.Errorf("%s is not changed, for it has something else than signing keys: %w", path, err)
	}
	return keys.Len(), nil
}

// appendKey appends a key to a file, or makes the file. It asks for the key, which is shown once, when nothing but a full
// disk can keep it from being written. Two at once lose none.
func appendKey(path string, ask func() (string, error)) (err error) {
	_, missing := os.Lstat(path)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("--upstream-event-key-file: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }() // gives up the lock
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("--upstream-event-key-file: locking %s: %w", path, err)
	}
	old, err := followed.Read(path, nil)
	if err == nil {
		_, err = countKeys(path, old)
	}
	if err != nil {
		return fmt.Errorf("--upstream-event-key-file: %w", err)
	}
	key, err := ask()
	if err != nil {
		if len(old) == 0 && errors.Is(missing, fs.ErrNotExist) {
			err = errors.Join(err, os.Remove(path)) // whoever waits for the lock reads it anew, and fails
		}
		return err
	}
	line := key + "\n"
	if len(old) > 0 && old[len(old)-1] != '\n' {
		line = "\n" + line
	}
	if _, err := upstream.ParseEventKeys([]byte(string(old) + line)); err != nil {
		return fmt.Errorf("the signing key that ZITADEL gave is not written to %s, --new-key gets another: %w", path, err)
	}
	if _, err := f.WriteString(line); err != nil {
		return errors.Join(fmt.Errorf("the signing key is lost, --new-key gets another: %w", err), f.Truncate(int64(len(old))))
	}
	return f.Sync()
}

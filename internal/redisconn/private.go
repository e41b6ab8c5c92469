package redisconn

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
)

// ownDir makes dir, or takes an existing one, so that only this user can enter
// it, whatever the modes of the files in it are. It refuses one that others
// may have prepared: a link, or a directory of another user.
func ownDir(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s must be a directory, it would hold the sessions", dir)
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); !ok || int(owner.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to another user, who could read the sessions in it; run as that user, or choose another directory", dir)
	}
	if info.Mode().Perm() == 0o700 {
		return nil
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("others could read the sessions: %w", err)
	}
	return nil
}

// starting is held while the umask is not our own.
var starting sync.Mutex

// startPrivate starts cmd with a umask that keeps all its files from other
// users. A process inherits the umask, and there is one for all of our
// threads: a file that another goroutine makes in that moment is private, too.
func startPrivate(cmd *exec.Cmd) error {
	starting.Lock()
	defer starting.Unlock()
	defer syscall.Umask(syscall.Umask(0o077))
	return cmd.Start()
}

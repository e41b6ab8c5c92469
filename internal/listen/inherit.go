package listen

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/cloakroom-dev/cloakroom/internal/usage"
	"golang.org/x/sys/unix"
)

// firstInherited is the first descriptor that a service manager hands over.
const firstInherited = 3

// Inherit takes the listening sockets that the service manager has opened for
// this process, as sd_listen_fds(3) says: by the setting of their address, nil if
// there are none. FileDescriptorName= in the socket's unit says what one is for:
// http, verify, grpc or admin. What is wrong with them goes to wrong; warning is why they
// are not used, and no fault.
func Inherit(env []string, wrong *usage.Faults) (opened map[string]net.Listener, warning string) {
	get := func(name string) string {
		for _, e := range env {
			if v, ok := strings.CutPrefix(e, name+"="); ok {
				return v
			}
		}
		return ""
	}
	if get("LISTEN_FDS") == "" {
		return nil, ""
	}
	if pid := get("LISTEN_PID"); pid != strconv.Itoa(os.Getpid()) {
		why := "another process"
		if pid == "" {
			why = "missing"
		}
		return nil, "the sockets of LISTEN_FDS are not used: LISTEN_PID is " + why
	}
	n, err := strconv.Atoi(get("LISTEN_FDS"))
	names := strings.Split(get("LISTEN_FDNAMES"), ":")
	if err != nil || n < 1 || get("LISTEN_FDNAMES") != "" && n != len(names) {
		wrong.Addf("LISTEN_FDS must be the number of names in LISTEN_FDNAMES")
		return nil, ""
	}
	if get("LISTEN_FDNAMES") == "" {
		wrong.Addf("LISTEN_FDNAMES is missing: it names what each socket is for, http, verify, grpc or admin; set FileDescriptorName= in the socket's unit")
		return nil, ""
	}
	opened = map[string]net.Listener{}
	for i, name := range names {
		setting := name + "-addr"
		switch {
		case !slices.Contains([]string{"http", "verify", "grpc", "admin"}, name):
			wrong.Addf("LISTEN_FDNAMES: %s is not http, verify, grpc or admin; set FileDescriptorName= in the socket's unit", usage.Quote(name))
			continue
		case opened[setting] != nil:
			wrong.Addf("LISTEN_FDNAMES: there are two sockets called %s", name)
			continue
		}
		ln, err := inheritedListener(firstInherited+i, name)
		if err != nil {
			wrong.Addf("LISTEN_FDS: the socket %s: %v", name, err)
			continue
		}
		opened[setting] = ln
	}
	return opened, ""
}

// inheritedListener makes a listener of a descriptor, which it closes. Nobody
// that this process starts has it.
func inheritedListener(fd int, name string) (net.Listener, error) {
	listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err == nil && listens == 0 {
		err = errors.New("nobody listens there; it needs ListenStream=")
	}
	if err != nil {
		return nil, err
	}
	if kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err != nil || kind != unix.SOCK_STREAM {
		return nil, errors.Join(errors.New("it is no stream socket; it needs ListenStream="), err)
	}
	f := os.NewFile(uintptr(fd), name)
	ln, err := net.FileListener(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("it is no stream socket: %w", err)
	}
	return ln, nil
}

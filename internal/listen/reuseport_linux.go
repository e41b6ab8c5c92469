package listen

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// longestQueue has the kernel let as many connections wait as it allows.
const longestQueue = 65535

// bindReusePort takes an address where another process of the same user may
// listen too, and does not listen yet, so it takes no connection. A third is
// refused, because it would get none.
func bindReusePort(addr string) (*os.File, error) {
	at, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, err
	}
	everywhere := at.IP == nil || at.IP.IsUnspecified()
	family := unix.AF_INET6 // which has IPv4 everywhere
	if at.IP.To4() != nil && !everywhere {
		family = unix.AF_INET
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if everywhere && errors.Is(err, unix.EAFNOSUPPORT) {
		family = unix.AF_INET
		fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	}
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	f := os.NewFile(uintptr(fd), addr)
	options := [][3]int{{unix.SOL_SOCKET, unix.SO_REUSEADDR, 1}, {unix.SOL_SOCKET, unix.SO_REUSEPORT, 1}}
	if family == unix.AF_INET6 {
		options = append(options, [3]int{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0})
	}
	for _, o := range options {
		if err == nil {
			err = os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, o[0], o[1], o[2]))
		}
	}
	if err == nil {
		err = os.NewSyscallError("bind", unix.Bind(fd, sockaddr(family, at)))
	}
	if n := listenersAt(at, everywhere); err == nil && n > 1 {
		err = fmt.Errorf("%d processes with --reuse-port listen there already; stop the older one first", n)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// sockaddr spells an address for the kernel.
func sockaddr(family int, at *net.TCPAddr) unix.Sockaddr {
	if family == unix.AF_INET {
		four := &unix.SockaddrInet4{Port: at.Port}
		copy(four.Addr[:], at.IP.To4())
		return four
	}
	six := &unix.SockaddrInet6{Port: at.Port}
	if !at.IP.IsUnspecified() { // IPv4's is not ::
		copy(six.Addr[:], at.IP.To16())
	}
	if link, err := net.InterfaceByName(at.Zone); err == nil {
		six.ZoneId = uint32(link.Index)
	}
	return six
}

// listenReusePort listens on what bindReusePort has taken. All new connections
// come to the second process from now on.
//
// The kernel spreads connections over the sockets of a port, and when one closes
// it resets those that wait for its process. So the older process must have none
// when it ends: a filter hands every connection to the second socket, which is
// the newer one. Alone, or as the first of two after the older one has ended, it
// has no second one beside it, and the kernel then takes the only one there is.
func listenReusePort(f *os.File) (net.Listener, error) {
	if err := unix.Listen(int(f.Fd()), longestQueue); err != nil {
		return nil, os.NewSyscallError("listen", err)
	}
	// It returns the number of the socket, which they have in the order in which they began to listen, from 0.
	second := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 1}}
	program := &unix.SockFprog{Len: uint16(len(second)), Filter: &second[0]}
	if err := unix.SetsockoptSockFprog(int(f.Fd()), unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF, program); err != nil {
		return nil, os.NewSyscallError("setsockopt", err)
	}
	return net.FileListener(f)
}

// listenersAt counts the sockets that listen at an address or at a part of it, as
// far as the kernel shows them.
func listenersAt(at *net.TCPAddr, everywhere bool) int {
	const address, state, listens = 1, 3, "0A"
	ours, count := hexAddress(at.IP), 0
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			f := strings.Fields(line)
			if len(f) <= state || f[state] != listens {
				continue
			}
			host, port, _ := strings.Cut(f[address], ":")
			if port == fmt.Sprintf("%04X", at.Port) && (everywhere || host == ours || strings.Trim(host, "0") == "") {
				count++
			}
		}
	}
	return count
}

// hexAddress spells an address as the kernel lists it: each four bytes backwards.
func hexAddress(ip net.IP) string {
	if four := ip.To4(); four != nil {
		ip = four
	}
	var b strings.Builder
	for i := range ip {
		fmt.Fprintf(&b, "%02X", ip[i^3])
	}
	return b.String()
}

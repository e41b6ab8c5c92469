package caller

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// TrustedProxies are the peers whose word about a request counts: where it came
// from (X-Forwarded-For), and how long they wait for verify
// (X-Envoy-Expected-Rq-Timeout-Ms). The zero value trusts nobody. They
// are read-only.
type TrustedProxies struct {
	unix     bool // peers on unix sockets
	prefixes []netip.Prefix
}

const (
	// TrustedProxiesForm is what ParseTrustedProxies takes.
	TrustedProxiesForm = "unix, loopback, addresses and CIDRs such as 10.0.0.0/8 or fd00::/8, at most 100, with commas between"
	// DefaultTrustedProxies are trusted where nothing else is configured: this machine.
	DefaultTrustedProxies = "unix,loopback"

	maxTrustedProxies = 100
	// maxForwarded is how many entries of X-Forwarded-For are looked at.
	maxForwarded = 32
	// maxForwardedLen is the longest entry that can be an address with a zone
	// and a port, in bytes.
	maxForwardedLen = 80
)

var loopbacks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// ParseTrustedProxies reads a list in TrustedProxiesForm; "" trusts nobody. The
// error names the entry.
func ParseTrustedProxies(list string) (*TrustedProxies, error) {
	p := &TrustedProxies{}
	if strings.TrimSpace(list) == "" {
		return p, nil
	}
	entries := strings.Split(list, ",")
	if len(entries) > maxTrustedProxies {
		return nil, fmt.Errorf("there are %d entries, at most %d are allowed", len(entries), maxTrustedProxies)
	}
	for i, entry := range entries {
		switch entry = strings.TrimSpace(entry); entry {
		case "unix":
			p.unix = true
		case "loopback":
			p.prefixes = append(p.prefixes, loopbacks...)
		default:
			prefix, err := parseProxy(entry)
			if err != nil {
				return nil, fmt.Errorf("entry %d: %w", i+1, err)
			}
			p.prefixes = append(p.prefixes, prefix)
		}
	}
	return p, nil
}

// parseProxy reads an address or a CIDR.
func parseProxy(entry string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(entry); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(entry)
	switch {
	case err != nil:
		return prefix, fmt.Errorf("%.60q is neither unix, loopback, an address nor a CIDR", entry)
	case prefix.Addr().Is4In6():
		return prefix, fmt.Errorf("%s is an IPv4 network in the form of IPv6: write it as IPv4", entry)
	case prefix.Bits() == 0:
		return prefix, fmt.Errorf("%s would trust everybody", entry)
	case prefix.Masked() != prefix:
		return prefix, fmt.Errorf("%s has bits beyond its length: write %s", entry, prefix.Masked())
	}
	return prefix, nil
}

// Trusts says whether a peer is trusted: by its address, or because it is on a unix
// socket.
func (p *TrustedProxies) Trusts(peer net.Addr) bool {
	switch a := peer.(type) {
	case *net.UnixAddr:
		return p.unix
	case *net.TCPAddr:
		return p.covers(peerAddr(a))
	}
	return false
}

func (p *TrustedProxies) covers(a netip.Addr) bool {
	return slices.ContainsFunc(p.prefixes, func(net netip.Prefix) bool { return net.Contains(a) })
}

// client finds out where a request came from: the last entry of X-Forwarded-For
// that is not trusted, where the peer and all entries after it are. forwarded
// are the lines of that header. An entry that is no address ends the walk, and so
// does the end of the list. Then the client is not known, and the answer is the
// last trusted hop: no address for a unix socket.
func (p *TrustedProxies) client(peer net.Addr, forwarded [][]byte) (hop netip.Addr, known bool) {
	if a, ok := peer.(*net.TCPAddr); ok {
		hop = peerAddr(a)
	}
	if !p.Trusts(peer) {
		return hop, hop.IsValid()
	}
	left := maxForwarded
	for _, line := range slices.Backward(forwarded) {
		for more := true; more; left-- {
			comma := bytes.LastIndexByte(line, ',')
			entry, ok := forwardedAddr(line[comma+1:])
			if !ok || left == 0 {
				return hop, false
			}
			if hop = entry; !p.covers(hop) {
				return hop, true
			}
			more = comma >= 0
			line = line[:max(comma, 0)]
		}
	}
	return hop, false
}

// peerAddr is the address of a peer without its zone.
func peerAddr(a *net.TCPAddr) netip.Addr { return a.AddrPort().Addr().Unmap().WithZone("") }

// forwardedAddr reads an entry of X-Forwarded-For: an address, IPv6 perhaps in
// brackets, and perhaps a port. A zone is dropped.
func forwardedAddr(entry []byte) (a netip.Addr, ok bool) {
	entry = bytes.Trim(entry, " \t")
	if len(entry) > maxForwardedLen {
		return a, false
	}
	text, port := string(entry), ""
	inside, bracket := strings.CutPrefix(text, "[")
	switch {
	case bracket:
		text, port, ok = strings.Cut(inside, "]")
		if !ok || port != "" && port[0] != ':' {
			return a, false
		}
	case strings.Count(text, ":") == 1:
		colon := strings.IndexByte(text, ':')
		text, port = text[:colon], text[colon:]
	}
	if port != "" && (len(port) == 1 || len(port) > len(":65535") || strings.Trim(port[1:], "0123456789") != "") {
		return a, false
	}
	a, err := netip.ParseAddr(text)
	if err != nil || bracket && !a.Is6() {
		return netip.Addr{}, false
	}
	a = a.Unmap().WithZone("")
	return a, !a.IsUnspecified() && !a.IsMulticast()
}

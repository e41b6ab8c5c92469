package caller

import (
	"net"
	"net/netip"
	"strings"
	"testing"
)

func TestParseTrustedProxies(t *testing.T) {
	t.Parallel()
	for _, list := range []string{"", " ", "unix", "loopback", DefaultTrustedProxies, " unix , 10.0.0.0/8,fd00::/8,192.0.2.7,2001:db8::7,::ffff:192.0.2.8"} {
		if _, err := ParseTrustedProxies(list); err != nil {
			t.Errorf("%q: %v", list, err)
		}
	}
	for list, want := range map[string]string{
		"unix,":                              "entry 2: \"\" is neither",
		"localhost":                          "entry 1: \"localhost\" is neither",
		"unix,10.0.0.0/33":                   "entry 2: \"10.0.0.0/33\" is neither",
		"10.0.0.0/-1":                        "is neither",
		"fe80::1%eth0":                       "is neither",
		"fe80::%eth0/64":                     "is neither",
		"10.0.0.1:80":                        "is neither",
		"10.0.0.1/8":                         "entry 1: 10.0.0.1/8 has bits beyond its length: write 10.0.0.0/8",
		"::ffff:10.0.0.0/104":                "write it as IPv4",
		"0.0.0.0/0":                          "would trust everybody",
		"unix,::/0":                          "entry 2: ::/0 would trust everybody",
		strings.Repeat("unix,", 100):         "there are 101 entries, at most 100 are allowed",
		strings.Repeat("a", 1000):            "entry 1: \"" + strings.Repeat("a", 60) + "\" is neither",
		"UNIX":                               "is neither",
		"unix;loopback":                      "is neither",
		"10.0.0.0/8 fd00::/8":                "is neither",
		strings.Repeat("10.0.0.0/8,", 1_000): "at most 100",
	} {
		if _, err := ParseTrustedProxies(list); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: got %v, want %q", list, err, want)
		}
	}
}

func TestTrustedProxies_Client(t *testing.T) {
	t.Parallel()
	unix, loopback, inside, outside := net.Addr(&net.UnixAddr{Name: "@", Net: "unix"}), from("127.0.0.1"), from("10.1.2.3"), from("203.0.113.9")
	const known, unknown = true, false
	many := strings.Repeat("10.0.0.1, ", 1000)
	for _, c := range []struct {
		peer      net.Addr
		forwarded []string
		want      string // "" is no address
		known     bool
	}{
		{outside, nil, "203.0.113.9", known},
		{outside, []string{"198.51.100.1"}, "203.0.113.9", known}, // a peer that is not trusted is not believed
		{from("2001:db8::5"), []string{"198.51.100.1"}, "2001:db8::5", known},
		{from("::ffff:203.0.113.9"), nil, "203.0.113.9", known},
		{&net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0"}, nil, "fe80::1", known},
		{unix, nil, "", unknown},
		{loopback, nil, "127.0.0.1", unknown},
		{from("::1"), nil, "::1", unknown},
		{unix, []string{"198.51.100.1"}, "198.51.100.1", known},
		{loopback, []string{"198.51.100.1"}, "198.51.100.1", known},
		{inside, []string{"198.51.100.1"}, "198.51.100.1", known},
		{from("::ffff:10.1.2.3"), []string{"198.51.100.1"}, "198.51.100.1", known},
		// The last that is not trusted: what comes before it is hearsay.
		{inside, []string{"1.1.1.1, 198.51.100.1"}, "198.51.100.1", known},
		{inside, []string{"1.1.1.1, 198.51.100.1, 10.9.9.9,127.0.0.1"}, "198.51.100.1", known},
		{inside, []string{"10.0.0.1, 10.0.0.2"}, "10.0.0.1", unknown},
		// Several lines are one list.
		{inside, []string{"1.1.1.1", "198.51.100.1", "10.0.0.2"}, "198.51.100.1", known},
		{inside, []string{"198.51.100.1", "10.0.0.2, 10.0.0.3"}, "198.51.100.1", known},
		// What is no address ends the walk.
		{inside, []string{"198.51.100.1, unknown"}, "10.1.2.3", unknown},
		{inside, []string{"198.51.100.1, unknown, 10.0.0.2"}, "10.0.0.2", unknown},
		{inside, []string{"198.51.100.1,"}, "10.1.2.3", unknown},
		{inside, []string{"198.51.100.1", ""}, "10.1.2.3", unknown},
		{inside, []string{"198.51.100.1, , 10.0.0.2"}, "10.0.0.2", unknown},
		{unix, []string{"unix:"}, "", unknown},
		{inside, []string{"_hidden"}, "10.1.2.3", unknown},
		{inside, []string{"for=198.51.100.1"}, "10.1.2.3", unknown},
		{inside, []string{`"[2001:db8::5]"`}, "10.1.2.3", unknown},
		{inside, []string{"198.51.100.1 10.0.0.1"}, "10.1.2.3", unknown},
		{inside, []string{"198.51.100.01"}, "10.1.2.3", unknown},
		{inside, []string{"0x7f.1"}, "10.1.2.3", unknown},
		{inside, []string{"1.1.1.1/8"}, "10.1.2.3", unknown},
		{inside, []string{"0.0.0.0"}, "10.1.2.3", unknown},
		{inside, []string{"::"}, "10.1.2.3", unknown},
		{inside, []string{"224.0.0.1"}, "10.1.2.3", unknown},
		{inside, []string{"198.51.100.1\x00"}, "10.1.2.3", unknown},
		{inside, []string{strings.Repeat("1", 1<<14)}, "10.1.2.3", unknown},
		// Ports, brackets and zones.
		{inside, []string{"198.51.100.1:1234"}, "198.51.100.1", known},
		{inside, []string{"198.51.100.1:"}, "10.1.2.3", unknown},
		{inside, []string{"198.51.100.1:x"}, "10.1.2.3", unknown},
		{inside, []string{"198.51.100.1:123456"}, "10.1.2.3", unknown},
		{inside, []string{"2001:db8::5"}, "2001:db8::5", known},
		{inside, []string{"[2001:db8::5]"}, "2001:db8::5", known},
		{inside, []string{"[2001:db8::5]:443"}, "2001:db8::5", known},
		{inside, []string{"[2001:db8::5]443"}, "10.1.2.3", unknown},
		{inside, []string{"[2001:db8::5"}, "10.1.2.3", unknown},
		{inside, []string{"2001:db8::5]"}, "10.1.2.3", unknown},
		{inside, []string{"[198.51.100.1]"}, "10.1.2.3", unknown},
		{inside, []string{"[]"}, "10.1.2.3", unknown},
		{inside, []string{"2001:db8::5%eth0"}, "2001:db8::5", known},
		{inside, []string{"[2001:db8::5%a b]:1"}, "2001:db8::5", known},
		{inside, []string{"198.51.100.1, ::ffff:10.0.0.1"}, "198.51.100.1", known},
		{inside, []string{"198.51.100.1, fd00::1%x"}, "198.51.100.1", known},
		// A long list is not read to its end.
		{inside, []string{"198.51.100.1, " + many + "10.0.0.2"}, "10.0.0.1", unknown},
		{inside, []string{"198.51.100.1" + strings.Repeat(", 10.0.0.1", maxForwarded-1)}, "198.51.100.1", known},
		{inside, []string{"198.51.100.1" + strings.Repeat(", 10.0.0.1", maxForwarded)}, "10.0.0.1", unknown},
	} {
		p, err := ParseTrustedProxies("unix,loopback,10.0.0.0/8,fd00::/8")
		if err != nil {
			t.Fatal(err)
		}
		var lines [][]byte
		for _, l := range c.forwarded {
			lines = append(lines, []byte(l))
		}
		want, _ := netip.ParseAddr(c.want)
		if got, isKnown := p.client(c.peer, lines); got != want || isKnown != c.known {
			t.Errorf("%v, %.80q: got %v %v, want %v %v", c.peer, c.forwarded, got, isKnown, want, c.known)
		}
	}
}

// A proxy is trusted only if it is in the list; those of the default may be taken out.
func TestTrustedProxies_OfTheConfiguration(t *testing.T) {
	t.Parallel()
	for list, want := range map[string][4]bool{
		DefaultTrustedProxies: {true, true, true, false},
		"":                    {},
		"unix":                {true, false, false, false},
		"10.1.2.0/24":         {false, false, false, true},
	} {
		p, err := ParseTrustedProxies(list)
		if err != nil {
			t.Fatal(err)
		}
		if got := [4]bool{p.Trusts(&net.UnixAddr{}), p.Trusts(from("127.8.9.1")), p.Trusts(from("::1")), p.Trusts(from("10.1.2.3"))}; got != want {
			t.Errorf("%q: %v, want %v", list, got, want)
		}
	}
}

func from(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 4711} }

func FuzzForwarded(f *testing.F) {
	f.Add([]byte("198.51.100.1, [2001:db8::5%a]:1, 10.0.0.1"))
	f.Add([]byte("unknown,,:"))
	p, err := ParseTrustedProxies("10.0.0.0/8")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		hop, known := p.client(from("10.1.2.3"), [][]byte{line})
		if !hop.IsValid() || hop.Zone() != "" || hop.Is4In6() || known == p.covers(hop) {
			t.Errorf("%q: %v %v", line, hop, known)
		}
	})
}

package redistest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// sentinelTimeout bounds what Sentinels may take to agree. One that had no
// processor for two seconds does nothing for a second (TILT; we shorten that from thirty).
const sentinelTimeout = 90 * time.Second

// MasterName is what Sentinels call the master.
const MasterName = "themaster"

// SentinelConfig says what set-up to start. The zero value is a master with one replica and three Sentinels, without TLS
// and passwords.
type SentinelConfig struct {
	Replicas int // default 1
	// Access is that of the servers; the Sentinels have the same certificates.
	Access Access
	// User and Password are those that the Sentinels ask for.
	User, Password string
	Conf           []string // lines of redis.conf for master and replicas
}

// Sentinels is a master with replicas, watched by Sentinels. Its methods must not be called from several goroutines at
// once.
type Sentinels struct {
	// Servers are the master at the start, then its replicas.
	Servers []*Server
	// Watchers are the Sentinels.
	Watchers []*Server

	t      testing.TB
	config SentinelConfig
}

// StartSentinels starts a master, replicas and Sentinels, and waits until the replicas are in sync and the Sentinels know
// of each other. That takes about a second. A master that is silent for half a second is replaced.
func StartSentinels(t testing.TB, config SentinelConfig) *Sentinels {
	t.Helper()
	if config.Replicas == 0 {
		config.Replicas = 1
	}
	s := &Sentinels{t: t, config: config}
	for i := range 1 + config.Replicas {
		server := prepare(t, append([]string{"repl-diskless-sync yes", "repl-diskless-sync-delay 0"}, config.Access.replicate()...)...)
		server.access = config.Access
		if i > 0 {
			server.conf = append(server.conf, "replicaof 127.0.0.1 "+port(s.Servers[0].Addr))
		}
		server.conf = append(server.conf, config.Conf...)
		s.Servers = append(s.Servers, server)
		startSomewhere(server)
	}
	const watchers = 3
	ids := make([]string, watchers)
	for i := range watchers {
		w := prepare(t)
		w.access = Access{User: config.User, Password: config.Password, Certificates: config.Access.Certificates}
		w.args, w.ownConf = []string{"--sentinel"}, true
		w.Addr = FreeAddr(t)
		ids[i] = nodeID()
		s.Watchers = append(s.Watchers, w)
	}
	for i, w := range s.Watchers {
		w.conf = s.sentinelConf(i, ids)
		if err := w.start(); err != nil {
			t.Fatal(err)
		}
		// While the master is down they look at replicas once a second, and promote none that they looked at longer ago
		// than five pings.
		w.Do("SENTINEL", "DEBUG", "info-period", 200, "publish-period", 200, "ping-period", 300, "ask-period", 200, "election-timeout", 1000, "tilt-period", 1000)
	}
	s.WaitReady()
	return s
}

// startSomewhere starts a server at a free address.
func startSomewhere(s *Server) {
	s.t.Helper()
	var err error
	for range startTries {
		s.Addr = FreeAddr(s.t)
		if err = s.start(); err == nil {
			return
		}
	}
	s.t.Fatal(err)
}

// sentinelConf is what the i-th Sentinel begins with: it knows all others and the replicas already.
func (s *Sentinels) sentinelConf(i int, ids []string) []string {
	a := s.config.Access
	line := func(words ...any) string { return "sentinel " + strings.TrimSuffix(fmt.Sprintln(words...), "\n") }
	conf := []string{
		line("myid", ids[i]),
		line("monitor", MasterName, "127.0.0.1", port(s.Servers[0].Addr), len(ids)/2+1),
		line("down-after-milliseconds", MasterName, 500),
		line("failover-timeout", MasterName, 6000),
	}
	if a.User != "" {
		conf = append(conf, line("auth-user", MasterName, a.User))
	}
	if a.Password != "" {
		conf = append(conf, line("auth-pass", MasterName, a.Password))
	}
	if s.config.User != "" {
		conf = append(conf, line("sentinel-user", s.config.User))
	}
	if s.config.Password != "" {
		conf = append(conf, line("sentinel-pass", s.config.Password))
	}
	for _, r := range s.Servers[1:] {
		conf = append(conf, line("known-replica", MasterName, "127.0.0.1", port(r.Addr)))
	}
	for j, w := range s.Watchers {
		if j != i {
			conf = append(conf, line("known-sentinel", MasterName, "127.0.0.1", port(w.Addr), ids[j]))
		}
	}
	return conf
}

// URL returns the set-up as a redis+sentinel:// or rediss+sentinel:// URL. The password of the Sentinels has no place in it.
func (s *Sentinels) URL() string {
	return s.config.Access.url("+sentinel") + strings.Join(s.Addrs(), ",") + "/" + MasterName
}

// Addrs returns the addresses of the Sentinels.
func (s *Sentinels) Addrs() []string {
	addrs := make([]string, len(s.Watchers))
	for i, w := range s.Watchers {
		addrs[i] = w.Addr
	}
	return addrs
}

// Client returns a client that asks the Sentinels where the master is, closed at the end of t. It does not retry, and
// honours the deadlines of contexts. Each option may change its settings.
func (s *Sentinels) Client(t testing.TB, options ...func(*redis.FailoverOptions)) *redis.Client {
	t.Helper()
	o := &redis.FailoverOptions{
		MasterName:            MasterName,
		SentinelAddrs:         s.Addrs(),
		SentinelUsername:      s.config.User,
		SentinelPassword:      s.config.Password,
		Protocol:              3,
		MaxRetries:            -1,
		ContextTimeoutEnabled: true,
		DisableIdentity:       true,
		Username:              s.config.Access.User,
		Password:              s.config.Access.Password,
		TLSConfig:             s.config.Access.tlsConfig(),
	}
	for _, option := range options {
		option(o)
	}
	client := redis.NewFailoverClient(o)
	t.Cleanup(func() {
		if err := client.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
			t.Errorf("redistest: close the client: %v", err)
		}
	})
	return client
}

// Master returns the server that the Sentinels call the master. The test fails if they do not agree in time.
func (s *Sentinels) Master() *Server {
	s.t.Helper()
	var master *Server
	wait(s.t, "the Sentinels agree on a master", sentinelTimeout, func() error {
		var err error
		master, err = s.named()
		return err
	})
	return master
}

// named returns the master if all Sentinels that run name the same.
func (s *Sentinels) named() (*Server, error) {
	var addr string
	for _, w := range s.Watchers {
		if w.away() {
			continue
		}
		reply, err := w.ask("SENTINEL", "get-master-addr-by-name", MasterName)
		if err != nil {
			return nil, err
		}
		words, _ := reply.([]any)
		if len(words) != 2 {
			return nil, fmt.Errorf("a Sentinel answers %v", reply)
		}
		says := fmt.Sprintf("%v:%v", words[0], words[1])
		if addr != "" && says != addr {
			return nil, fmt.Errorf("the master is %s and %s", addr, says)
		}
		addr = says
	}
	i := slices.IndexFunc(s.Servers, func(server *Server) bool { return server.Addr == addr })
	if i < 0 {
		return nil, fmt.Errorf("the master is at %q, where no server is", addr)
	}
	return s.Servers[i], nil
}

// WaitReady waits until the Sentinels that run agree on a master, all other servers that run are replicas in sync with it,
// and the Sentinels see them and each other.
func (s *Sentinels) WaitReady() {
	s.t.Helper()
	wait(s.t, "the Sentinels and servers are ready", sentinelTimeout, s.fault)
}

func (s *Sentinels) fault() error {
	master, err := s.named()
	if err != nil {
		return err
	}
	replicas := 0
	for _, server := range s.Servers {
		if server.away() {
			continue
		}
		info, err := server.info("INFO", "replication")
		switch {
		case err != nil:
			return err
		case server == master && info["role"] != "master":
			return fmt.Errorf("%s, the master, is a %s", server.Addr, info["role"])
		case server != master && (info["master_port"] != port(master.Addr) || info["master_link_status"] != "up"):
			return fmt.Errorf("%s is not in sync", server.Addr)
		case server != master:
			replicas++
		}
	}
	for _, w := range s.Watchers {
		if w.away() {
			continue
		}
		info, err := w.info("INFO", "sentinel")
		if err != nil {
			return err
		}
		want := fmt.Sprintf("status=ok,address=%s,slaves=%d,sentinels=%d", master.Addr, len(s.Servers)-1, len(s.Watchers))
		if !strings.HasSuffix(info["master0"], want) {
			return fmt.Errorf("a Sentinel says %s, and not %s", info["master0"], want)
		}
		reply, err := w.ask("SENTINEL", "REPLICAS", MasterName)
		if err != nil {
			return err
		}
		good := 0
		for _, r := range reply.([]any) {
			if text := fmt.Sprint(r); strings.Contains(text, "flags slave ") && strings.Contains(text, "master-link-status ok") {
				good++
			}
		}
		if good < replicas {
			return fmt.Errorf("a Sentinel sees %d good replicas of %d", good, replicas)
		}
	}
	return nil
}

// Failover has a Sentinel replace the master, and returns the new one when all Sentinels know it and the old one is its
// replica. Writes that the old one takes meanwhile are lost.
func (s *Sentinels) Failover() *Server {
	s.t.Helper()
	old := s.Master()
	// A Sentinel gives up a take-over that gets no further, and does not try again by itself.
	var refused error
	var asked time.Time
	wait(s.t, "a take-over by a replica", sentinelTimeout, func() error {
		master, err := s.named()
		if err != nil || master != old {
			return err
		}
		if time.Since(asked) > 10*time.Second {
			_, refused = s.Watchers[0].ask("SENTINEL", "FAILOVER", MasterName)
			asked = time.Now()
		}
		return fmt.Errorf("it is the master still; the Sentinel was last asked to replace it at %v: %v", asked, refused)
	})
	s.WaitReady()
	return s.Master()
}

// WaitPromoted waits until the Sentinels name another master than the one that is gone, and returns it.
func (s *Sentinels) WaitPromoted(gone *Server) *Server {
	s.t.Helper()
	var master *Server
	wait(s.t, "promotion of a replica", sentinelTimeout, func() error {
		var err error
		if master, err = s.named(); err != nil {
			return err
		}
		if master == gone {
			return errors.New("it is the master still")
		}
		return nil
	})
	return master
}

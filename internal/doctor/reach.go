package doctor

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// reachTimeout bounds each step to a server.
	reachTimeout = 3 * time.Second
	// greetingTimeout bounds the wait for what a server says unasked.
	greetingTimeout = 500 * time.Millisecond
	// expiresSoon is how long before its end a certificate is worth a warning.
	expiresSoon = 14 * 24 * time.Hour
)

// reach goes to every address, step by step: name, connection, TLS, login; with
// Sentinels, also to the master that they name. It says whether it got in.
func (e *examination) reach(ctx context.Context) bool {
	last := e.login
	if e.Master != "" {
		last = e.askSentinel
	}
	found := make([][]Finding, len(e.Addresses))
	in := false
	for i := range e.Addresses {
		found[i] = e.steps(ctx, &e.Addresses[i], last)
		in = in || found[i][len(found[i])-1].Status != Fail
	}
	for i, steps := range found {
		for _, f := range steps {
			if len(e.Addresses) > 1 {
				f.Node = e.Addresses[i].Addr
			}
			if f.Status == Fail && in { // another one will do
				f.Status = Warn
			}
			e.tell(f)
		}
	}
	switch {
	case !in:
		return false
	case e.Master == "":
		e.server = e.Addresses[0]
		return true
	}
	steps := e.steps(ctx, &e.server, e.login)
	for _, f := range steps {
		f.Node = e.server.Addr
		e.tell(f)
	}
	return steps[len(steps)-1].Status != Fail
}

// steps returns a finding for each step; if the last one is a fault, it got no further.
func (e *examination) steps(ctx context.Context, p *Address, last func(context.Context, *Address) Finding) (found []Finding) {
	add := func(check string, f Finding) bool {
		f.Check = check
		found = append(found, f)
		return f.Status != Fail
	}
	step := func(do func(context.Context) Finding) Finding {
		ctx, cancel := context.WithTimeout(ctx, reachTimeout)
		defer cancel()
		return do(ctx)
	}
	if p.Network != "unix" {
		if f := step(p.resolve); (f.Status == Fail || f.Found != "") && !add("name", f) {
			return found
		}
	}
	if !add("connection", step(p.connect)) || p.TLS != nil && !add("tls", step(p.shake)) {
		return found
	}
	add("login", step(func(ctx context.Context) Finding { return last(ctx, p) }))
	return found
}

// resolve looks the host up. There is nothing to tell of an IP address.
func (p *Address) resolve(ctx context.Context) Finding {
	host, _, err := net.SplitHostPort(p.Addr)
	if err != nil || net.ParseIP(host) != nil {
		return Finding{Status: OK}
	}
	addrs, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		var dns *net.DNSError
		what := "looking it up failed: " + plain(err)
		if errors.As(err, &dns) && dns.IsNotFound {
			what = "there is no such host"
		}
		return fail(fmt.Sprintf("%s: %s", host, what), remedy("correct the host in --redis-url, or the name service of this machine: `getent hosts %s`", host))
	}
	return ok("%s is %s", host, strings.Join(addrs, ", "))
}

// connect opens a connection and closes it.
func (p *Address) connect(ctx context.Context) Finding {
	conn, err := p.dial(ctx)
	if err == nil {
		_ = conn.Close()
		return ok("%s takes connections", p.Addr)
	}
	switch {
	case p.Network == "unix" && errors.Is(err, fs.ErrNotExist):
		return fail("there is no socket "+p.Addr, remedy("start Redis, with this line in redis.conf: unixsocket %s", p.Addr))
	case p.Network == "unix" && errors.Is(err, fs.ErrPermission):
		return fail("this user may not open the socket "+p.Addr, remedy("in redis.conf: unixsocketperm 770, and add this user to the group of Redis"))
	case errors.Is(err, syscall.ECONNREFUSED):
		fix := []advice{remedy("start Redis, or correct the address in --redis-url")}
		if p.Network != "unix" {
			fix = append(fix, remedy("a Redis that runs on another machine listens there only if `bind` in its redis.conf says so"))
		}
		return fail("nothing listens at "+p.Addr, fix...)
	case isTimeout(err):
		return fail(fmt.Sprintf("no answer from %s within %v", p.Addr, reachTimeout), remedy("a firewall, a security group or a network policy drops packets, or the machine is down"))
	}
	return fail(fmt.Sprintf("%s cannot be reached: %s", p.Addr, plain(err)), remedy("correct the address in --redis-url, or the network in between"))
}

func (p *Address) dial(ctx context.Context) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, p.Network, p.Addr)
}

// shake does the TLS handshake.
func (p *Address) shake(ctx context.Context) Finding {
	state, err := p.handshake(ctx, p.TLS)
	if err == nil {
		certificate := state.PeerCertificates[0]
		f := ok("%s, certificate of %s until %s", tls.VersionName(state.Version), certificate.Subject.CommonName, certificate.NotAfter.Format(time.DateOnly))
		if left := time.Until(certificate.NotAfter); left < expiresSoon {
			f = warn(fmt.Sprintf("the certificate of %s ends in %d days", p.Addr, int(left.Hours()/24)), remedy("renew it, then `CONFIG SET tls-cert-file PATH` makes Redis read it again"))
		}
		return f
	}
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &unknown):
		return fail("the certificate is signed by an authority that this machine does not trust", remedy("give the authority's certificate: --redis-tls-ca-file FILE"))
	case errors.As(err, &host):
		return fail("the certificate is not for this host: "+plain(err), remedy("use a name in --redis-url that the certificate has, or say --redis-tls-server-name, or renew it with this one"))
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fail("the certificate has expired, or is not valid yet: "+plain(err), remedy("renew it, or set the clock of this machine"))
	case wantsCertificate(err):
		return fail("Redis wants a certificate of its clients", remedy("give one: --redis-tls-cert-file FILE and --redis-tls-key-file FILE; or in redis.conf: tls-auth-clients no"))
	case errors.As(err, &record) || p.speaksPlain():
		return fail(p.Addr+" does not speak TLS", remedy("use redis:// in --redis-url, or the port that redis.conf has as tls-port"))
	case errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET):
		return fail(p.Addr+" ends connections in the middle of the TLS handshake", remedy("its log says why; a Redis that has as many clients as its maxclients allows does so: end some of them, then raise it"))
	case isTimeout(err):
		return fail(fmt.Sprintf("no TLS handshake within %v", reachTimeout), remedy("is it a Redis, and does this port speak TLS (tls-port)?"))
	}
	return fail("the TLS handshake failed: "+plain(err), remedy("the versions (tls-protocols) and certificates in redis.conf, and those here, must fit"))
}

// errNoCertificate says that a server wants a certificate of its clients.
var errNoCertificate = errors.New("certificate required")

func wantsCertificate(err error) bool { // with TLS 1.2 it is an alert of the server
	return errors.Is(err, errNoCertificate) || err != nil && strings.Contains(err.Error(), "certificate required")
}

func (p *Address) handshake(ctx context.Context, config *tls.Config) (*tls.ConnectionState, error) {
	conn, err := p.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	config = config.Clone()
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(p.Addr)
	}
	wanted := false
	if len(config.Certificates) == 0 && config.GetClientCertificate == nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			wanted = true
			return new(tls.Certificate), nil
		}
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	// With TLS 1.3 a server refuses a client without a certificate only afterwards.
	deadline, _ := ctx.Deadline()
	_ = secure.SetDeadline(deadline)
	_, err = secure.Write([]byte("*1\r\n$4\r\nPING\r\n"))
	if err == nil {
		_, err = secure.Read(make([]byte, 1))
	}
	switch {
	case err != nil && wanted && !isTimeout(err): // the alert may be lost with the connection
		return nil, fmt.Errorf("%w: %w", errNoCertificate, err)
	case err != nil && !errors.Is(err, io.EOF):
		return nil, err
	}
	state := secure.ConnectionState()
	return &state, nil
}

// login does what every connection begins with.
func (e *examination) login(ctx context.Context, p *Address) Finding {
	o := *e.Options
	o.Network, o.Addr = p.Network, p.Addr
	n := newNode(p.Addr, &o)
	defer n.client.Close()
	err := e.greeting(ctx, p, n.client.Ping(ctx).Err())
	user := e.user()
	if err != nil {
		if said, fix := standing(err); said != "" {
			return fail(said+n.loading(ctx, err), fix...)
		}
	}
	switch {
	case err == nil && !e.Password && !local(p):
		return warn("as user "+user+", without a password: who reaches this address reads and writes sessions",
			remedy("`cloakroom acl --password-file FILE` prints the line that makes a user with the least rights; then ACL SETUSER default off"))
	case err == nil:
		return ok("as user %s", user)
	case namedUnder(err) != "":
		return ok("as user %s; Redis refuses commands, see %s", user, namedUnder(err))
	case redis.HasErrorPrefix(err, "NOAUTH") || strings.Contains(err.Error(), "NOAUTH"):
		return fail("Redis wants a user or a password, and none is given", remedy("put it into the URL: redis://USER:PASSWORD@HOST:PORT, in CLOAKROOM_REDIS_URL or in the file of --config, not in a flag"))
	case strings.Contains(err.Error(), "WRONGPASS"):
		return fail(fmt.Sprintf("Redis does not take the password of user %s, or the user is not there, or is off", user),
			remedy("look at the user as an administrator: ACL GETUSER %s", user),
			remedy("special characters of a password are percent-encoded in a URL"),
			remedy("`cloakroom acl --user %s --password-file FILE` prints the line that makes the user", user))
	case strings.Contains(err.Error(), "without any password configured"):
		return fail("a password is given, and Redis has none", remedy("take the password out of the URL; or better, give Redis one: `cloakroom acl`"))
	case redis.HasErrorPrefix(err, "NOPERM"):
		return e.loggedInWithout(err, user)
	case strings.Contains(err.Error(), "SELECT is not allowed in cluster mode"):
		return clusterNode(p)
	case strings.Contains(err.Error(), "DB index is out of range"):
		return fail("Redis has no database of this number", remedy("use another one at the end of --redis-url, or more `databases` in redis.conf"))
	case isReply(err):
		return fail("Redis lets nobody work with it, and says: "+plain(err), remedy("its log may say more; `redis-cli -h HOST -p PORT ping` must answer PONG, without rename-command"))
	case isTimeout(err):
		return fail(fmt.Sprintf("%s takes connections and does not answer within %v", p.Addr, reachTimeout),
			remedy("is it a Redis, and does it hang? `redis-cli -h HOST -p PORT ping`; its log; SLOWLOG GET once it answers"))
	case p.TLS == nil && p.Network != "unix":
		if _, err := p.handshake(ctx, &tls.Config{InsecureSkipVerify: true}); err == nil || wantsCertificate(err) { //nolint:gosec // nothing is sent that is worth anything
			return fail(p.Addr+" speaks TLS", remedy("use rediss:// in --redis-url"))
		}
	}
	return fail("what answers at "+p.Addr+" does not do so as Redis does: "+plain(err), remedy("is it a Redis, version 7 or later? `redis-cli -h HOST -p PORT ping`"))
}

// greeting returns what a server says of itself to a client that connects, and
// nothing was asked yet, if err is that it has closed the connection: that is an error, after
// which it closes it. Other errors stay as they are.
func (e *examination) greeting(ctx context.Context, p *Address, err error) error {
	if err == nil || isReply(err) || isTimeout(err) || p.TLS != nil {
		return err
	}
	conn, dialErr := p.dial(ctx)
	if dialErr != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(greetingTimeout))
	line, _ := bufio.NewReaderSize(conn, 512).ReadString('\n')
	if said, is := strings.CutPrefix(strings.TrimSpace(line), "-"); is {
		return errors.New(said)
	}
	return err
}

// local says whether only this machine can reach an address, as far as that tells.
func local(p *Address) bool {
	host, _, err := net.SplitHostPort(p.Addr)
	ip := net.ParseIP(host)
	return p.Network == "unix" || err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

// speaksPlain says whether a Redis answers without TLS.
func (p *Address) speaksPlain() bool {
	ctx, cancel := context.WithTimeout(context.Background(), reachTimeout)
	defer cancel()
	conn, err := p.dial(ctx)
	if err != nil {
		return false
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	answer := make([]byte, 1)
	_, err = conn.Write([]byte("PING\r\n"))
	if err == nil {
		_, err = io.ReadFull(conn, answer)
	}
	return err == nil && (answer[0] == '+' || answer[0] == '-')
}

// loggedInWithout is about a user that may not even begin.
func (e *examination) loggedInWithout(err error, user string) Finding {
	return warn(fmt.Sprintf("as user %s, who may not PING (see rights): %s", user, strings.TrimPrefix(plain(err), "NOPERM ")))
}

// loading says how far a server has come that loads its data, if err is that it does.
func (n *node) loading(ctx context.Context, err error) string {
	if !redis.HasErrorPrefix(err, "LOADING") {
		return ""
	}
	n.read(ctx)
	done, left := n.info["loading_loaded_perc"], n.info["loading_eta_seconds"]
	if done == "" {
		return ""
	}
	return fmt.Sprintf(": %s %% done, about %s s to go", done, left)
}

// user is who logs in.
func (e *examination) user() string { return cmp.Or(e.User, "default") }

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

// plain is an error in one line, without control characters.
func plain(err error) string {
	if err == nil {
		return "no reason was given"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, err.Error())
}

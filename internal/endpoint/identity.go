package endpoint

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/redisinfo"
	"github.com/cloakroom-dev/cloakroom/internal/resp"
)

// identity is what a server says of itself.
type identity struct {
	addr string // for people
	// role is "master" or "replica"; provable is false if that is not known, or is of
	// no meaning: then the server is taken for a master.
	role     string
	provable bool
	// mode is "standalone", "cluster" or "sentinel"; "" if the server does not tell.
	mode string
	// runID is the name of the process; "" if it does not tell.
	runID string
	// history is the name of what it has replicated or written, before the one that
	// it had as a replica of another master; "" if there is none.
	history, before string
	// of is the address of a replica's master.
	of string
}

// name is what people are told: an address may lead to several servers.
func (i *identity) name() string {
	if i.runID == "" {
		return i.addr
	}
	return fmt.Sprintf("%s (run ID %.8s)", i.addr, i.runID)
}

// isAnonymous says that nothing tells it from another server.
func (i *identity) isAnonymous() bool { return i.provable && i.runID == "" }

// isMaster says that nothing speaks against it.
func (i *identity) isMaster() bool { return i.role == "master" || !i.provable }

// isOther says that it is a node of a Cluster, which refuses by itself what is
// another's, or a Sentinel, which has no data: both are for the store to refuse,
// which can say what is wrong with the URL.
func (i *identity) isOther() bool { return i.mode == "cluster" || i.mode == "sentinel" }

// refuses says why it is not used.
func (i *identity) refuses() string {
	text := i.name() + " is a replica"
	if i.of != "" {
		text += " of " + i.of
	}
	return text + ", and only a master's word counts: the Redis URL must lead to the master"
}

// RefusedError says that a server has refused a new connection.
type RefusedError struct {
	addr  string
	reply resp.ReplyError
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("%s refuses the connection: %s", e.addr, string(e.reply))
}

// Cause is what the server said. It is hidden from the client, which would take
// it for the answer to one command and keep the connection.
func (e *RefusedError) Cause() error { return e.reply }

// asked is a connection that is asked who is at its other end.
type asked struct {
	net.Conn
	answers resp.Reader
	// question is the command that tells the role.
	question []string
}

// none is the history of a server that never was a replica.
const none = "0000000000000000000000000000000000000000"

// ask authenticates and asks who is there. A server that refuses the connection
// altogether is a *RefusedError; other errors are the network's.
func (e *Endpoint) ask(ctx context.Context, c net.Conn) (*asked, identity, error) {
	who := identity{addr: address(c)}
	hello, err := resp.Hello(ctx, e.options, e.name)
	if err != nil {
		return nil, who, err
	}
	a := &asked{Conn: c, answers: resp.Reader{R: bufio.NewReader(c), Key: func([]byte) {}, All: func() {}}}
	defer a.until(ctx)()
	tells := "HELLO"
	role, info, err := a.questions(hello, []string{"INFO", "server"}, []string{"INFO", "replication"})
	refusal, refused := errors.AsType[resp.ReplyError](err)
	if refused && unknown(refusal) { // an old server, or a proxy
		tells = "ROLE"
		questions := [][]string{{"ROLE"}, {"INFO", "server"}, {"INFO", "replication"}}
		if len(hello) > 2 && hello[2] == "AUTH" {
			_, _, err = a.questions([]string{"AUTH", hello[3], hello[4]})
			if refusal, refused = errors.AsType[resp.ReplyError](err); refused {
				return nil, who, &RefusedError{who.addr, refusal}
			}
		}
		if err == nil || refused {
			role, info, err = a.questions(questions...)
			if refusal, refused = errors.AsType[resp.ReplyError](err); refused && unknown(refusal) {
				role, err = "", nil
			}
		}
	}
	if refusal, refused = errors.AsType[resp.ReplyError](err); refused {
		return nil, who, &RefusedError{who.addr, refusal}
	}
	if err != nil {
		return nil, who, err
	}
	if a.answers.R.Buffered() > 0 {
		return nil, who, errors.New("redis answered what was not asked")
	}
	if tells == "HELLO" {
		who.mode = word(role, "mode")
	}
	a.question = []string{tells}
	if who.role = roleIn(tells, role); who.role == "" {
		a.question = []string{"INFO", "replication"}
		who.role = roleIn("INFO", info)
	}
	who.provable = who.role != "" && !who.isOther()
	who.runID = redisinfo.Field(info, "run_id")
	who.history, who.before = redisinfo.Field(info, "master_replid"), redisinfo.Field(info, "master_replid2")
	if who.before == none {
		who.before = ""
	}
	if host := redisinfo.Field(info, "master_host"); host != "" {
		who.of = net.JoinHostPort(host, redisinfo.Field(info, "master_port"))
	}
	return a, who, nil
}

// questions sends commands at once. It returns the answer to the first, or its
// error, and those to the others together. That one of these is forbidden is no
// error; that the server is busy is, for then it does not say who it is.
func (a *asked) questions(cmds ...[]string) (first, rest string, err error) {
	var b bytes.Buffer
	for _, words := range cmds {
		b.Write(resp.Command(words...))
	}
	if _, err := a.Write(b.Bytes()); err != nil {
		return "", "", err
	}
	var refusal error
	for i := range cmds {
		answer, err := a.answers.Reply()
		reply, refused := errors.AsType[resp.ReplyError](err)
		switch {
		case i == 0 && refused:
			refusal = err
			if full(err) { // it has closed the connection
				return "", "", err
			}
		case err != nil && !refused:
			return "", "", err
		case i == 0:
			first = answer
		case refused && !unknown(reply) && refusal == nil:
			refusal = err
		default:
			rest += answer + "\r\n"
		}
	}
	return first, rest, refusal
}

// again asks whether the server is a master still.
func (a *asked) again(ctx context.Context) (master bool, err error) {
	defer a.until(ctx)()
	answer, _, err := a.questions(a.question)
	return roleIn(a.question[0], answer) == "master", err
}

// until bounds what follows by the context, until the returned function is called.
func (a *asked) until(ctx context.Context) func() {
	deadline, _ := ctx.Deadline()
	_ = a.SetDeadline(deadline)
	stop := context.AfterFunc(ctx, func() { _ = a.SetDeadline(time.Unix(1, 0)) })
	return func() {
		stop()
		_ = a.SetDeadline(time.Time{})
	}
}

// roleIn finds the role in the answer to a command, "" if it is not there.
func roleIn(command, answer string) string {
	switch command {
	case "INFO":
		return roleOf(redisinfo.Field(answer, "role"))
	case "ROLE":
		first, _, _ := strings.Cut(answer, " ")
		return roleOf(first)
	}
	return roleOf(word(answer, "role"))
}

// word finds what follows a name in an answer to HELLO, "" if it is not there.
func word(answer, name string) string {
	words := strings.Fields(answer)
	for i := 0; i+1 < len(words); i++ {
		if words[i] == name {
			return words[i+1]
		}
	}
	return ""
}

// roleOf is a role in one word of ours.
func roleOf(word string) string {
	if word == "slave" {
		return "replica"
	}
	return word
}

// unknown says that a server does not have a command, or does not allow it.
func unknown(e resp.ReplyError) bool {
	text := string(e)
	return strings.HasPrefix(text, "ERR unknown command") || strings.HasPrefix(text, "NOPERM") || strings.HasPrefix(text, "NOPROTO")
}

// full says that a server takes no further connection.
func full(err error) bool { return strings.Contains(err.Error(), "max number of clients") }

// address is the other end of a connection, for people.
func address(c net.Conn) string {
	if a := c.RemoteAddr(); a != nil && a.String() != "" {
		return a.String()
	}
	return "redis"
}

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/internal/acl"
	"github.com/cloakroom-dev/cloakroom/internal/doctor"
	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/spf13/pflag"
)

const aclHelp = `Usage: cloakroom acl [flags]

Prints the ACL of a Redis user that may do what cloakroom needs, on its keys,
and nothing else. It asks no Redis.

  --user              name of the user; default cloakroom
  --password-file     file with the user's password, of which only the SHA-256
                      is printed; without it the line has >PASSWORD instead
  --users-file        print a line of the file that Redis has as aclfile, not
                      the command ACL SETUSER
  --cluster           for a Redis Cluster; the line is for every node of it
  --sentinel          a second line, for the Sentinels: what Sentinel lets a
                      client do that asks for the master
  --audit             with what cloakroom audit needs besides
  --doctor            with what cloakroom doctor needs besides to see settings
                      and connections; CONFIG GET shows passwords that Redis has
                      in its settings, so leave it out where that matters

The settings of serve that decide what is needed count, from flags, environment
and --config: --redis-key-prefix, --near-cache-bytes (0 needs less),
--redis-replica-reads and --revoke-wait-replicas (more) and --redis-url (its
database, and whether it is a Cluster or has Sentinels).
`

// aclFlags are what acl has besides the settings of serve.
type aclFlags struct {
	user, passwordFile string
	usersFile          bool
	cluster, sentinel  bool
	audit, doctor      bool
}

func (f *aclFlags) settings() []setting {
	return []setting{
		own("user", "cloakroom", text(&f.user, 128), "name of the Redis user"),
		own("password-file", "", text(&f.passwordFile, 4096), "file with its password"),
		own("users-file", "false", boolean(&f.usersFile), "print a line for aclfile"),
		own("cluster", "false", boolean(&f.cluster), "for a Cluster"),
		own("sentinel", "false", boolean(&f.sentinel), "and for Sentinels"),
		own("audit", "false", boolean(&f.audit), "and for audit"),
		own("doctor", "false", boolean(&f.doctor), "and for doctor"),
	}
}

// aclCommand is the subcommand: it prints the least rule.
func aclCommand(ctx context.Context, p *program) error {
	var f aclFlags
	c, err := p.load(ctx, f.settings()...)
	if errors.Is(err, pflag.ErrHelp) {
		_, err = io.WriteString(p.stdout, aclHelp)
		return err
	}
	if err != nil {
		return err
	}
	var wrong faults
	if f.user == "" || strings.ContainsFunc(f.user, func(r rune) bool { return r <= ' ' || r == '"' || r == '\'' || r == 0x7f }) {
		wrong.addf("flag: --user must be a name without spaces and quotes")
	}
	secret, err := f.secret(p.pipes(ctx))
	if ctx.Err() != nil {
		return errInterrupted
	}
	if err != nil {
		wrong.addf("flag: --password-file: %v", err)
	}
	if err := wrong.err(); err != nil {
		return err
	}
	space, err := keys.NewSpace(c.store.Prefix, 1)
	if err != nil {
		return err
	}
	rule := acl.RuleOf(space, acl.Needed(redisRights(), f.when(c)))
	if err := f.print(p.stdout, secret, rule.String()); err != nil || !f.sentinel && c.redisURL.master == "" {
		return err
	}
	return f.print(p.stdout, secret, doctor.SentinelRule)
}

// redisRights are all the rights that any subcommand uses.
func redisRights() []acl.Right { return slices.Concat(cache.Rights(), doctor.Rights()) }

// when says which rights are needed.
func (f *aclFlags) when(c *config) acl.When {
	when := needs(c)
	if f.cluster {
		when |= acl.Cluster
	}
	if f.audit {
		when |= acl.Audit
	}
	if f.doctor {
		when |= acl.Doctor
	}
	return when
}

// needs says which rights a configuration of serve needs.
func needs(c *config) acl.When {
	var when acl.When
	if c.store.NearBytes > 0 {
		when |= acl.Near
	}
	if c.redisURL.options != nil && c.redisURL.options.DB != 0 {
		when |= acl.Database
	}
	if c.redisURL.cluster {
		when |= acl.Cluster
	}
	if c.store.RevokeWaitReplicas > 0 {
		when |= acl.Waits
	}
	if c.redis.replicaReads {
		when |= acl.Replicas
	}
	if c.store.RevokeWaitReplicas > 0 {
		when |= acl.Waits
	}
	return when
}

// print prints one user.
func (f *aclFlags) print(w io.Writer, secret, rule string) error {
	command := "ACL SETUSER"
	if f.usersFile {
		command = "user"
	}
	_, err := fmt.Fprintf(w, "%s %s reset on %s %s\n", command, f.user, secret, rule)
	return err
}

// secret returns the password's hash as a word of the rule. The password is
// neither kept nor shown. (I6)
func (f *aclFlags) secret(pipes pipes) (string, error) {
	if f.passwordFile == "" {
		return ">PASSWORD", nil
	}
	text, err := readText(f.passwordFile, pipes)
	if err != nil {
		return "", err
	}
	text = bytes.TrimRight(text, "\r\n")
	if len(text) == 0 || len(text) > maxPassword || bytes.ContainsAny(text, "\r\n") {
		return "", fmt.Errorf("%s must have the password on its only line", f.passwordFile)
	}
	sum := sha256.Sum256(text)
	return "#" + hex.EncodeToString(sum[:]), nil
}

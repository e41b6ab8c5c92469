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
	"github.com/cloakroom-dev/cloakroom/cache/transfer"
	"github.com/cloakroom-dev/cloakroom/internal/acl"
	"github.com/cloakroom-dev/cloakroom/internal/config"
	"github.com/cloakroom-dev/cloakroom/internal/doctor"
	"github.com/cloakroom-dev/cloakroom/internal/followed"
	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/redisconn"
	"github.com/cloakroom-dev/cloakroom/internal/usage"
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
  --audit             also with what cloakroom audit needs
  --doctor            also with what cloakroom doctor needs to see settings and
                      connections; CONFIG GET shows passwords that Redis has in
                      its settings, so leave it out where that matters
  --export            only what cloakroom export needs, which writes nothing

The settings of serve that decide what is needed count, from flags, environment
and --config: --redis-key-prefix, --near-cache-bytes (0 needs less),
--redis-replica-reads and --revoke-wait-replicas (more) and --redis-url (its
database, and whether it is a Cluster or has Sentinels).
`

// aclFlags are what acl has in addition to the settings of serve.
type aclFlags struct {
	user, passwordFile string
	usersFile          bool
	cluster, sentinel  bool
	audit, doctor      bool
	export             bool
}

func (f *aclFlags) settings() []config.Setting {
	return []config.Setting{
		config.Own("user", "cloakroom", config.Text(&f.user, 128), "name of the Redis user"),
		config.Own("password-file", "", config.File(&f.passwordFile), "file with its password"),
		config.Own("users-file", "false", config.Boolean(&f.usersFile), "print a line for aclfile"),
		config.Own("cluster", "false", config.Boolean(&f.cluster), "for a Cluster"),
		config.Own("sentinel", "false", config.Boolean(&f.sentinel), "and for Sentinels"),
		config.Own("audit", "false", config.Boolean(&f.audit), "and for audit"),
		config.Own("doctor", "false", config.Boolean(&f.doctor), "and for doctor"),
		config.Own("export", "false", config.Boolean(&f.export), "for export alone"),
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
	var wrong usage.Faults
	if f.user == "" || strings.ContainsFunc(f.user, func(r rune) bool { return r <= ' ' || r == '"' || r == '\'' || r == 0x7f }) {
		wrong.Addf("flag: --user must be a name without spaces and quotes")
	}
	if f.export && (f.audit || f.doctor) {
		wrong.Addf("flag: --export is the rights of export alone: it excludes --audit and --doctor")
	}
	secret, err := f.secret(p.pipes(ctx))
	if ctx.Err() != nil {
		return followed.ErrInterrupted
	}
	if err != nil {
		wrong.Addf("flag: --password-file: %v", err)
	}
	if err := wrong.Err(); err != nil {
		return err
	}
	space, err := keys.NewSpace(c.Store.Prefix, 1)
	if err != nil {
		return err
	}
	rights := redisRights()
	if f.export {
		rights = transfer.Rights()
	}
	rule := acl.RuleOf(space, acl.Needed(rights, f.when(c)))
	if err := f.print(p.stdout, secret, rule.String()); err != nil || !f.sentinel && c.RedisURL.Master == "" {
		return err
	}
	return f.print(p.stdout, secret, doctor.SentinelRule)
}

// redisRights are all the rights that any subcommand uses.
func redisRights() []acl.Right { return slices.Concat(cache.Rights(), doctor.Rights()) }

// when says which rights are needed.
func (f *aclFlags) when(c *config.Config) acl.When {
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
func needs(c *config.Config) acl.When {
	var when acl.When
	if c.Store.NearBytes > 0 {
		when |= acl.Near
	}
	if c.RedisURL.Options != nil && c.RedisURL.Options.DB != 0 {
		when |= acl.Database
	}
	if c.RedisURL.Cluster {
		when |= acl.Cluster
	}
	if c.Store.RevokeWaitReplicas > 0 {
		when |= acl.Waits
	}
	if c.LoginsEnd() {
		when |= acl.JWTs
	}
	if c.Upstream != nil {
		when |= acl.Upstream
	}
	if c.Redis.ReplicaReads {
		when |= acl.Replicas
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
func (f *aclFlags) secret(pipes followed.Pipes) (string, error) {
	if f.passwordFile == "" {
		return ">PASSWORD", nil
	}
	text, err := followed.Read(f.passwordFile, pipes)
	if err != nil {
		return "", err
	}
	text = bytes.TrimRight(text, "\r\n")
	if len(text) == 0 || len(text) > redisconn.MaxPassword || bytes.ContainsAny(text, "\r\n") {
		return "", fmt.Errorf("%s must have the password on its only line", f.passwordFile)
	}
	sum := sha256.Sum256(text)
	return "#" + hex.EncodeToString(sum[:]), nil
}

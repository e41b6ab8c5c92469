package main

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/testfile"
)

// password is a file with one.
func password(t *testing.T, text string) string { return testfile.Write(t, text+"\n") }

// line runs cloakroom acl, and returns what it prints.
func line(t *testing.T, args ...string) string {
	t.Helper()
	code, text, stderr := once(t, append([]string{"acl"}, args...)...)
	if code != exitOK {
		t.Fatalf("acl %q: exit code %d: %s", args, code, stderr)
	}
	return strings.TrimSpace(text)
}

// limited is a sound server whose user app has the password pw, and these rights in addition to all.
func limited(t *testing.T, rights string) *redistest.Server {
	s := soundServer(t)
	command(s, "ACL SETUSER app on >pw ~* &* +@all "+rights)
	return s
}

func as(s *redistest.Server, userinfo string, more ...string) []string {
	return to("redis://"+userinfo+"@"+s.Addr, more...)
}

func accessRows() []consultation {
	lacks := func(advice, rights string, then func(t *testing.T, s *redistest.Server, fix string) []string) consultation {
		return consultation{advice, func(t *testing.T) ([]string, follow) {
			s := limited(t, rights)
			return as(s, "app:pw"), func(t *testing.T, fix string) []string { return then(t, s, fix) }
		}}
	}
	obeys := func(_ *testing.T, s *redistest.Server, fix string) []string { obey(s, fix); return nil }
	underRights := func(t *testing.T, s *redistest.Server, _ string) []string {
		_, fix := consult(t, as(s, "app:pw")).found(adviceOf(t, "ACL SETUSER %s %s"))
		command(s, fix)
		return nil
	}
	return []consultation{
		lacks("ACL SETUSER %s %s", "-zadd -zrank", func(_ *testing.T, s *redistest.Server, fix string) []string { command(s, fix); return nil }),
		lacks("ACL SETUSER %s +role +info", "-role -info", obeys),
		lacks("what this user lacks is named under rights", "-time", underRights),
		lacks("a missing right is named under rights", "-client|tracking", underRights),
		lacks("or do without: --near-cache-bytes=0", "-client|tracking", func(_ *testing.T, s *redistest.Server, _ string) []string {
			return as(s, "app:pw", "--near-cache-bytes=0")
		}),
		{"then ACL SAVE, or the same in the users file", func(t *testing.T) ([]string, follow) {
			users := testfile.Write(t, "user app on >pw ~* &* +@all -zadd\nuser default on nopass ~* &* +@all\n")
			s := soundServer(t, "aclfile "+users)
			return as(s, "app:pw"), func(t *testing.T, _ string) []string {
				underRights(t, s, "")
				s.Do("ACL", "SAVE")
				s.Restart()
				return nil
			}
		}},
		{"`cloakroom acl --doctor` prints an ACL", func(t *testing.T) ([]string, follow) {
			s := soundServer(t)
			pw := password(t, "pw")
			command(s, line(t, "--user=app", "--password-file="+pw))
			return as(s, "app:pw"), func(t *testing.T, _ string) []string {
				command(s, line(t, "--user=app", "--password-file="+pw, "--doctor"))
				return nil
			}
		}},
		{"`cloakroom acl --user %s --password-file FILE` prints the line", func(t *testing.T) ([]string, follow) {
			s := soundServer(t)
			return as(s, "app:pw"), func(t *testing.T, _ string) []string {
				command(s, line(t, "--user=app", "--password-file="+password(t, "pw"), "--doctor"))
				return nil
			}
		}},
		{"look at the user as an administrator", func(t *testing.T) ([]string, follow) {
			s := limited(t, "off")
			return as(s, "app:pw"), func(t *testing.T, fix string) []string {
				_, look, _ := strings.Cut(fix, ": ")
				reply := s.Do("ACL", "GETUSER", strings.TrimPrefix(look, "ACL GETUSER "))
				if !strings.Contains(fmt.Sprint(reply), "off") {
					t.Errorf("%s: %v", look, reply)
				}
				command(s, "ACL SETUSER app on")
				return nil
			}
		}},
		{"special characters of a password", func(t *testing.T) ([]string, follow) {
			s := soundServer(t)
			s.Do("ACL", "SETUSER", "app", "on", ">a%40b", "~*", "&*", "+@all")
			return as(s, "app:a%40b"), func(*testing.T, string) []string { return as(s, url.UserPassword("app", "a%40b").String()) }
		}},
		{"put it into the URL: redis://USER:PASSWORD@HOST:PORT", func(t *testing.T) ([]string, follow) {
			s := soundServer(t, "requirepass secret")
			return to("redis://" + s.Addr), func(*testing.T, string) []string {
				return []string{"CLOAKROOM_REDIS_URL=redis://default:secret@" + s.Addr}
			}
		}},
		{"take the password out of the URL", func(t *testing.T) ([]string, follow) {
			s := soundServer(t, `rename-command HELLO ""`)
			return as(s, ":secret", "--near-cache-bytes=0"), func(*testing.T, string) []string { return at(s, "--near-cache-bytes=0") }
		}},
		{"give it a user with a password", func(t *testing.T) ([]string, follow) {
			s := soundServer(t)
			outside := between(t, s.Addr, "127.0.0.2", func(b []byte) []byte { return b })
			return to("redis://" + outside), func(*testing.T, string) []string {
				s.Do("CONFIG", "SET", "requirepass", "secret")
				return to("redis://:secret@" + outside)
			}
		}},
		{"`cloakroom acl --password-file FILE` prints the line", func(t *testing.T) ([]string, follow) {
			s := soundServer(t)
			host := strings.Replace(s.Addr, "127.0.0.1", "0.0.0.0", 1) // no loopback address, as far as it shows
			return to("redis://" + host), func(t *testing.T, _ string) []string {
				command(s, line(t, "--password-file="+password(t, "pw"), "--doctor"))
				command(s, "ACL SETUSER default off")
				return to("redis://cloakroom:pw@" + host)
			}
		}},
	}
}

package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/upstream"
)

// ZITADEL says which ZITADEL to examine, and what is asked of it.
type ZITADEL struct {
	// Config is how serve asks it.
	upstream.Config
	// MaxAge is how long copies answer without news, Poll how often events are searched for, 0 never; VerifyTimeout is how long a
	// verify may take that has to ask.
	MaxAge, Poll, VerifyTimeout time.Duration
}

// section is the heading above findings of a ZITADEL.
const section = "zitadel"

// zitadel is one while it is examined.
type zitadel struct {
	*ZITADEL
	client *upstream.Client
	tell   func(Finding)
}

// ExamineZITADEL does all checks of a ZITADEL, and tells what each has found. It returns when ctx ends, at the latest. Its error is that of
// upstream.New.
func ExamineZITADEL(ctx context.Context, c ZITADEL, tell func(Finding)) error {
	if c.Timeout == 0 || c.Timeout > checkTimeout {
		c.Timeout = checkTimeout
	}
	client, err := upstream.New(c.Config)
	if err != nil {
		return err
	}
	defer client.Close()
	z := &zitadel{ZITADEL: &c, client: client, tell: tell}
	date, reached := z.checkReachable(ctx)
	if !reached {
		return nil
	}
	if z.checkCredentials(ctx) {
		z.checkRights(ctx)
		z.checkTime(ctx)
	}
	z.checkClock(date)
	return nil
}

// say tells of a finding.
func (z *zitadel) say(check string, f Finding) {
	f.Check, f.Section = check, section
	z.tell(f)
}

// checkReachable asks whether ZITADEL is up, and what time it is there.
func (z *zitadel) checkReachable(ctx context.Context) (ahead time.Duration, reached bool) {
	asked := time.Now()
	date, err := z.client.Clock(ctx)
	if err != nil {
		z.say("reachable", z.unreached(err))
		return 0, false
	}
	z.say("reachable", ok("%s answers", z.URL))
	if date.IsZero() {
		return unknownClock, true
	}
	// The date has whole seconds: its clock is up to one second further.
	return date.Add(time.Second / 2).Sub(asked.Add(time.Since(asked) / 2)).Round(time.Second), true
}

// unreached says why a call has failed.
func (z *zitadel) unreached(err error) Finding {
	host := z.URL
	if u, bad := url.Parse(z.URL); bad == nil {
		host = u.Host
	}
	if later, ok := errors.AsType[*upstream.RetryLaterError](err); ok {
		return advise(Skip, fmt.Sprintf("ZITADEL asks for no calls of this account for %v", later.After.Round(time.Second)),
			[]advice{remedy("look again then; if it goes on, raise the quota or the limit of requests at ZITADEL or at the proxy before it")})
	}
	reason := strings.TrimPrefix(err.Error(), upstream.ErrUnavailable.Error()+": ")
	if away, ok := errors.AsType[*upstream.UnavailableError](err); ok {
		reason = away.Reason
	}
	switch {
	case reason == upstream.ReasonResolve:
		return fail("the name of the host cannot be looked up: "+host, remedy("correct the host in --upstream-url, or the name service of this machine: `getent hosts HOST`"))
	case strings.HasPrefix(reason, upstream.ReasonConnect):
		return fail(host+": "+reason, remedy("start ZITADEL or the proxy before it, or correct host and port in --upstream-url"))
	case reason == upstream.ReasonAuthority:
		return fail("the certificate of "+host+" is signed by an authority that is not trusted here",
			remedy("--upstream-ca-file FILE with the authority's certificate in PEM, for serve as well"))
	case reason == upstream.ReasonOtherHost:
		return fail("the certificate of "+host+" is for other hosts",
			remedy("use a name in --upstream-url that the certificate has; where ZITADEL's instance has another name, that is --upstream-host"))
	case reason == upstream.ReasonCertificate:
		return fail("the certificate of "+host+" has expired, is not valid yet or is not for servers", remedy("have ZITADEL's certificate renewed, or set the clock of this machine"))
	case reason == upstream.ReasonNoTLS:
		return fail(host+" does not speak TLS", remedy("give the port in --upstream-url that speaks TLS; plain http:// is for loopback, unless --upstream-allow-http is true"))
	case strings.HasPrefix(reason, upstream.ReasonLate):
		return fail(host+": "+reason, remedy("ZITADEL hangs, or something on the way drops packets, or a proxy must be named in HTTPS_PROXY: `curl -m 5 URL/debug/healthz`"))
	}
	return fail(host+": "+reason, remedy("`curl -i URL/debug/healthz` must show 200 and ok, from this machine: --upstream-url and --upstream-host must lead to the instance as its console does; else ZITADEL's log says why, or that of the proxy before it"))
}

// checkCredentials asks whether our account is accepted.
func (z *zitadel) checkCredentials(ctx context.Context) bool {
	err := z.client.CheckCredentials(ctx)
	kind := z.Credentials.Kind()
	away, _ := errors.AsType[*upstream.UnavailableError](err)
	found := ok("ZITADEL accepts the %s", kind)
	switch {
	case away != nil && away.Reason == upstream.ReasonRefused:
		found = fail("ZITADEL refuses the "+kind+" in --upstream-token-file: nothing but copies answers",
			remedy("make a new personal access token for the service account, of this instance, and put it into the file of --upstream-token-file; serve needs no restart"))
	case away != nil && strings.HasPrefix(away.Reason, upstream.ReasonNoToken):
		found = fail("the "+kind+" in --upstream-token-file: "+away.Reason,
			remedy("make a new key for the service account, of this instance, and put its JSON into the file of --upstream-token-file; if it is new, set the clocks, and --upstream-host as the instance is called"))
	case err != nil:
		found = z.unreached(err)
	}
	z.say("credentials", found)
	return err == nil
}

// checkRights asks whether our account may see sessions, and search for events. ZITADEL tells everybody that a session is not there, and shows those
// who may see none an empty list: only of an account without any role it is certain then.
func (z *zitadel) checkRights(ctx context.Context) {
	_, err := z.client.Events(ctx, upstream.EventSearch{AggregateTypes: []string{"session"}, Last: true})
	forbidden, isForbidden := errors.AsType[*upstream.Forbidden](err)
	role := remedy("give the service account a role with session.read: IAM_LOGIN_CLIENT, or IAM_OWNER, which may have news, too")
	if isForbidden && forbidden.NoMember() {
		z.say("sessions", fail(fmt.Sprintf("the account may see no sessions: it has no role (%s)", forbidden.ID), role))
		return
	}
	seen, blind := z.client.Sees(ctx)
	unseeing, isBlind := errors.AsType[*upstream.Unseeing](blind)
	switch {
	case isBlind:
		z.say("sessions", fail(fmt.Sprintf("the account may not see a session that is there: ZITADEL answers %d (%s)", unseeing.Status, unseeing.ID), role))
	case blind != nil:
		z.say("sessions", z.unreached(blind))
	case !seen:
		z.say("sessions", Finding{Status: Skip, Found: "ZITADEL lists none: there is none, or the account may see none"})
	default:
		z.say("sessions", ok("the account may see one; whether all, or those of an organization, ZITADEL does not tell"))
	}
	switch {
	case z.Poll == 0:
		z.say("events", ok("are not asked for (--upstream-poll is 0): what changes at ZITADEL itself is seen within --upstream-max-age, %s", plainDuration(z.MaxAge)))
	case isForbidden:
		z.say("events", warn(fmt.Sprintf("the account may not search for events (%s): there are no news, and copies answer for --upstream-max-age, %s, only", forbidden.ID, plainDuration(z.MaxAge)),
			remedy("make the service account an IAM_OWNER of the instance: ZITADEL shows events to no other; or do without, with --upstream-poll=0")))
	case err != nil:
		z.say("events", z.unreached(err))
	default:
		z.say("events", ok("the account may search for them: what changes at ZITADEL itself is seen within --upstream-poll and the time of a search, or --upstream-max-age, whichever is less: %s", plainDuration(min(z.Poll, z.MaxAge))))
	}
}

// checkTime measures one question, over a connection that is open.
func (z *zitadel) checkTime(ctx context.Context) {
	began := time.Now()
	err := z.client.CheckCredentials(ctx)
	took := time.Since(began).Round(100 * time.Microsecond)
	switch {
	case err != nil:
		z.say("time", z.unreached(err))
	case took >= z.VerifyTimeout:
		z.say("time", warn(fmt.Sprintf("a question takes %v, and a verify that has to ask gives up after --upstream-verify-timeout, %s", took, plainDuration(z.VerifyTimeout)),
			remedy("see why ZITADEL is slow, or raise --upstream-verify-timeout, and the gateway's time-out with it")))
	default:
		z.say("time", ok("a question takes %v; a verify that has to ask waits for --upstream-verify-timeout, %s", took, plainDuration(z.VerifyTimeout)))
	}
}

// unknownClock is in place of a difference that is not known.
const unknownClock = time.Duration(-1 << 63)

// checkClock compares the clock of ZITADEL, or of the proxy that has answered for it, with this machine's.
func (z *zitadel) checkClock(ahead time.Duration) {
	const harm = "sessions end here by Redis' clock, too early or too late by what that differs from ZITADEL's, and a key of a service account is refused if this machine's is far ahead"
	switch {
	case ahead == unknownClock:
		z.say("clock", Finding{Status: Skip, Found: "ZITADEL has not told its time"})
	case ahead.Abs() > clocksDiffer:
		side := "ahead of"
		if ahead < 0 {
			side = "behind"
		}
		z.say("clock", warn(fmt.Sprintf("that of ZITADEL is %v %s this machine's: %s", ahead.Abs(), side, harm),
			remedy("set the clocks of ZITADEL, of Redis and of this machine by NTP; compare them with `date -u`")))
	default:
		z.say("clock", ok("that of ZITADEL is within %v of this machine's", max(ahead.Abs(), time.Second)))
	}
}

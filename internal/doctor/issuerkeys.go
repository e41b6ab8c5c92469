package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/oidc"
)

const (
	// manyKeys is how many keys are worth a warning.
	manyKeys = oidc.MaxKeys / 2
	// clocksDiffer is how far the issuer's clock may be from this machine's; its answers have whole seconds.
	clocksDiffer = 5 * time.Second
)

// checkKeys reads the issuer's keys.
func (i *inspection) checkKeys(ctx context.Context) []Finding {
	at, field := i.KeysURL, "jwks_url"
	switch {
	case i.NoKeys:
		return []Finding{ok("jwks_url is none: the issuer is asked about every token")}
	case at == "" && i.said == nil:
		return []Finding{{Status: Skip, Found: "where they are is not known, see discovery"}}
	case at == "":
		at, field = i.said.KeysURL, "issuer"
	}
	keys, err := i.issuer.Keys(ctx, at)
	if err != nil {
		return []Finding{i.unreached(err, at, field)}
	}
	i.heard = keys.Heard
	text := fmt.Sprintf("%d of %d can check signatures (%s)", keys.Usable, keys.All, strings.Join(keys.Algorithms, ", "))
	if keys.Private > 0 {
		text += fmt.Sprintf("; %d to encrypt, or secret, do not count", keys.Private)
	}
	unread := keys.All - keys.Usable - keys.Private
	if unread > 0 {
		text += fmt.Sprintf("; %d cannot be read, or have the kid of another", unread)
	}
	var without []string // configured algorithms without a key
	for _, a := range i.Algorithms {
		if !slices.Contains(keys.Algorithms, a) {
			without = append(without, a)
		}
	}
	if !i.AllAlgorithms && len(without) > 0 {
		text += "; none for " + strings.Join(without, ", ")
	}
	if keys.CacheControl != "" {
		text += "; Cache-Control: " + shownURL(keys.CacheControl)
	}
	refused := slices.DeleteFunc(slices.Clone(keys.Algorithms), func(a string) bool { return slices.Contains(i.Algorithms, a) })
	switch {
	case keys.All > oidc.MaxKeys:
		return []Finding{fail(fmt.Sprintf("%d, and more than %d are not taken", keys.All, oidc.MaxKeys), fewerKeys())}
	case keys.Usable == 0:
		return []Finding{fail(text+": every JWT of this issuer is refused", remedy("have the issuer make a key that signs, RSA, EC or Ed25519, and publish it at %s", at))}
	case len(refused) > 0 && len(refused) == len(keys.Algorithms):
		return []Finding{fail(text+": all of these are missing in algorithms, so every token and logout is refused", moreAlgorithms(i.Algorithms, refused))}
	case len(refused) > 0:
		return []Finding{warn(text+": tokens and logouts signed with "+strings.Join(refused, ", ")+" are refused, though their keys are there", moreAlgorithms(i.Algorithms, refused))}
	case keys.All > manyKeys:
		return []Finding{warn(fmt.Sprintf("%s: more than %d are not taken", text, oidc.MaxKeys), fewerKeys())}
	case unread > 0:
		return []Finding{warn(text, remedy("tokens by these keys are refused: have the issuer publish them anew, each with a kid of its own"))}
	}
	return []Finding{ok("%s", text)}
}

func moreAlgorithms(have, add []string) advice {
	return remedy("algorithms: [%s] in the issuers file; or leave that out, which takes all", strings.Join(slices.Concat(have, add), ", "))
}

func fewerKeys() advice {
	return remedy("have the issuer delete keys that sign nothing any more: once tokens by them have expired nobody needs them")
}

// checkIssuerClock compares the issuer's clock with this machine's.
func (i *inspection) checkIssuerClock(context.Context) []Finding {
	if i.heard.Date.IsZero() {
		return []Finding{{Status: Skip, Found: "the issuer has not told its time"}}
	}
	// The date has whole seconds: the issuer's clock is up to one second further.
	ahead := i.heard.Date.Add(time.Second / 2).Sub(i.heard.Between).Round(time.Second)
	from := ahead.Abs()
	text := fmt.Sprintf("that of the issuer is %v ahead of this machine's", from)
	if ahead < 0 {
		text = fmt.Sprintf("that of the issuer is %v behind this machine's", from)
	}
	ntp := remedy("set the clocks of the issuer, of Redis and of this machine by NTP; compare them with `date -u`")
	switch {
	case from > max(i.Leeway, time.Second):
		return []Finding{fail(fmt.Sprintf("%s, and leeway is %v: good tokens are refused, and expired ones taken", text, i.Leeway), ntp)}
	case from > clocksDiffer:
		return []Finding{warn(fmt.Sprintf("%s; leeway is %v", text, i.Leeway), ntp)}
	case from <= time.Second:
		return []Finding{ok("that of the issuer is within a second of this machine's; leeway is %v", i.Leeway)}
	}
	return []Finding{ok("%s; leeway is %v", text, i.Leeway)}
}

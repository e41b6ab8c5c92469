package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/time/rate"
)

const (
	// keysEvery is how often an issuer's keys are fetched again: a key that it
	// has withdrawn is used no longer than this and knownFor.
	keysEvery = 5 * time.Minute
	// keysUsable is how long the last keys go on being used while the issuer
	// does not give new ones.
	keysUsable = time.Hour
	// firstRetry and lastRetry bound the pauses while the issuer is away.
	firstRetry, lastRetry = time.Second, 30 * time.Second
	// fetchTimeout bounds one fetch: discovery and keys.
	fetchTimeout = 5 * time.Second
	// unknownWait is how long a token whose key is not known waits for the keys
	// to be fetched.
	unknownWait = 100 * time.Millisecond
	// unknownEvery and unknownBurst bound how often such tokens have the keys
	// fetched: a flood of made-up key IDs costs the issuer a request each ten
	// seconds.
	unknownEvery = 10 * time.Second
	unknownBurst = 3
	// maxKeys is the largest number of keys of an issuer.
	maxKeys = 100
)

// keyring has an issuer's keys and what there is to know about their fetching.
type keyring struct {
	// wanted asks for a fetch before it is due.
	wanted  chan struct{}
	unknown *rate.Limiter

	mu sync.Mutex
	// keys are nil until the first fetch succeeds.
	keys *keySet
	// begun counts fetches, done is the number of the last one that ended, and
	// failed says that it failed. asked is the number of the last one that
	// somebody waits for; at first it is 1.
	begun, done, asked uint64
	failed             bool
	// ended is closed, and replaced, when a fetch ends.
	ended chan struct{}
	// keysURL is where the keys were found last, and discovered when the issuer
	// was asked that.
	keysURL    string
	discovered time.Time
}

// keySet are the keys of one fetch.
type keySet struct {
	byID    keyfunc.Keyfunc
	ids     map[string]*publicKey
	fetched time.Time
}

// publicKey is a key of an issuer, as long as that publishes it.
type publicKey struct {
	text      string // as it is published
	withdrawn atomic.Bool
}

// replaces says that k are an issuer's keys now: of those before, which are nil at first, the
// same keys stay, and the others are withdrawn.
func (k *keySet) replaces(before *keySet) {
	if before == nil {
		return
	}
	for id, old := range before.ids {
		if k != nil && k.ids[id] != nil && k.ids[id].text == old.text {
			k.ids[id] = old
		} else {
			old.withdrawn.Store(true)
		}
	}
}

func newKeyring() keyring {
	return keyring{
		wanted:  make(chan struct{}, 1),
		unknown: rate.NewLimiter(rate.Every(unknownEvery), unknownBurst),
		asked:   1,
		ended:   make(chan struct{}),
	}
}

// follow fetches the keys until ctx ends.
func (i *issuer) follow(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var retry time.Duration
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-i.ring.wanted:
		}
		err := i.fetch(ctx)
		pause := keysEvery
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			retry = min(max(2*retry, firstRetry), lastRetry)
			pause = retry/2 + rand.N(retry/2)
			if !failing {
				i.log.Warn("the keys of an issuer cannot be fetched, trying again", "issuer", i.Name, "error", err)
			}
		default:
			retry = 0
			if failing {
				i.log.Info("the keys of an issuer are fetched again", "issuer", i.Name)
			}
		}
		failing = err != nil
		timer.Reset(pause)
	}
}

// fetch gets the keys and lets those know who wait for them. Where they are is
// asked again as often as they are fetched without anybody wanting them, also
// if somebody always does: anybody can, with a made-up key ID.
func (i *issuer) fetch(ctx context.Context) error {
	r := &i.ring
	r.mu.Lock()
	r.begun++
	number, keysURL, discovered := r.begun, r.keysURL, r.discovered
	if now := i.age(); r.failed || now.Sub(discovered) >= keysEvery {
		keysURL, discovered = "", now
	}
	r.mu.Unlock()

	timed, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	keys, keysURL, err := i.get(timed, keysURL)

	r.mu.Lock()
	defer r.mu.Unlock()
	if usable, _ := i.usable(); err == nil {
		keys.replaces(r.keys)
		r.keys, r.keysURL, r.discovered = keys, keysURL, discovered
	} else if errors.Is(err, errNoKeys) || usable == nil { // it has withdrawn those that we have, or they are too old
		(*keySet)(nil).replaces(r.keys)
		r.keys = nil
	}
	r.done, r.failed = number, err != nil
	close(r.ended)
	r.ended = make(chan struct{})
	return err
}

// get reads the keys, after having asked where they are if keysURL is "".
func (i *issuer) get(ctx context.Context, keysURL string) (*keySet, string, error) {
	if i.KeysURL != "" {
		keysURL = i.KeysURL
	}
	if keysURL == "" {
		var err error
		if keysURL, err = i.discover(ctx); err != nil {
			return nil, "", fmt.Errorf("discovery: %w", err)
		}
	}
	began := i.age()
	var answer jwkset.JWKSMarshal
	if err := getJSON(ctx, i.client, keysURL, &answer); err != nil {
		return nil, "", fmt.Errorf("keys: %w", err)
	}
	keys, err := newKeySet(ctx, answer.Keys, began)
	return keys, keysURL, err
}

// discoveryURL is where the issuer says what it is.
func (s *issuerSettings) discoveryURL() string {
	return strings.TrimSuffix(s.URL, "/") + "/.well-known/openid-configuration"
}

// discover asks the issuer where its keys are (OpenID Connect Discovery 1.0).
func (i *issuer) discover(ctx context.Context) (keysURL string, err error) {
	var answer struct {
		Issuer  string `json:"issuer"`
		KeysURL string `json:"jwks_uri"`
	}
	if err := getJSON(ctx, i.client, i.discoveryURL(), &answer); err != nil {
		return "", err
	}
	if answer.Issuer != i.URL {
		return "", errors.New("the issuer in the document is not the configured one")
	}
	if err := checkURL(answer.KeysURL, i.allowHTTP); err != nil {
		return "", fmt.Errorf("jwks_uri %w", err)
	}
	return answer.KeysURL, nil
}

// errNoKeys says that an issuer has answered, and has no key for us.
var errNoKeys = errors.New("there is no key that a signature can be checked with")

// newKeySet takes the keys that signatures can be checked with. What it cannot
// read is left out: it may be of a kind that is newer than we are, and a token
// signed with it is refused.
func newKeySet(ctx context.Context, list []jwkset.JWKMarshal, fetched time.Time) (*keySet, error) {
	if len(list) > maxKeys {
		return nil, fmt.Errorf("there are more than %d keys", maxKeys)
	}
	store := jwkset.NewMemoryStorage()
	set := &keySet{ids: make(map[string]*publicKey, len(list)), fetched: fetched}
	for _, m := range list {
		if m.KTY == jwkset.KtyOct || m.USE != "" && m.USE != jwkset.UseSig {
			continue
		}
		// Certificates are not looked at, least of all fetched.
		m.X5U, m.X5C, m.X5T, m.X5TS256 = "", nil, "", ""
		key, err := jwkset.NewJWKFromMarshal(m, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
		if err != nil || set.ids[m.KID] != nil {
			continue
		}
		if err := store.KeyWrite(ctx, key); err != nil {
			return nil, err
		}
		text, err := json.Marshal(m)
		if err != nil {
			return nil, err
		}
		set.ids[m.KID] = &publicKey{text: string(text)}
	}
	if len(set.ids) == 0 {
		return nil, errNoKeys
	}
	var err error
	set.byID, err = keyfunc.New(keyfunc.Options{Storage: store})
	return set, err
}

// has says whether the key of a token is there.
func (k *keySet) has(header map[string]any) bool { return k.of(header) != nil }

// of returns the key of a token, nil if it is not there. A token need not name its key where there is
// only one.
func (k *keySet) of(header map[string]any) *publicKey {
	id, named := header["kid"]
	if !named && len(k.ids) == 1 {
		for _, key := range k.ids {
			return key
		}
	}
	text, ok := id.(string)
	if !ok {
		return nil
	}
	return k.ids[text]
}

// keyOf returns the key that a token names. If it is not known it may be new:
// the keys are fetched again, but not often, and waited for, but not long.
func (i *issuer) keyOf(ctx context.Context, token *jwt.Token) (verifies any, key *publicKey, err error) {
	if i.noKeys {
		return nil, nil, invalid("the issuer's keys are not configured")
	}
	keys, failing := i.usableKeys()
	if keys == nil && failing {
		return nil, nil, ErrUnavailable
	}
	if keys == nil || !keys.has(token.Header) {
		var current bool
		has := func(k *keySet) bool { return k.has(token.Header) }
		if keys, current = i.await(ctx, has); keys == nil || !current && !keys.has(token.Header) {
			return nil, nil, ErrUnavailable
		}
	}
	if key = keys.of(token.Header); key == nil {
		return nil, nil, &InvalidError{Reason: "kid: the issuer has no such key", Later: true}
	}
	verifies, err = keys.byID.KeyfuncCtx(ctx)(token)
	return verifies, key, err
}

// usableKeys returns the keys, nil if there are none or they are too old, and
// whether the last fetch failed.
func (i *issuer) usableKeys() (keys *keySet, failing bool) {
	i.ring.mu.Lock()
	defer i.ring.mu.Unlock()
	return i.usable()
}

func (i *issuer) usable() (keys *keySet, failing bool) {
	r := &i.ring
	if r.keys != nil && i.age().Sub(r.keys.fetched) > keysUsable {
		return nil, true
	}
	return r.keys, r.failed
}

// keyChanged says whether an issuer has another key now under the name of one that a token's signature
// does not fit: the keys are fetched again, as for a name that is not known. known is false if
// that could not be told.
func (i *issuer) keyChanged(ctx context.Context, header map[string]any, old *publicKey) (changed, known bool) {
	arrived := i.age()
	keys, _ := i.await(ctx, func(k *keySet) bool { return k.of(header) != old })
	if keys == nil {
		return false, false
	}
	return keys.of(header) != old, !keys.fetched.Before(arrived)
}

// await waits for a fetch that may find what is wanted. current says that
// what the issuer has now is known: a key that is not among it does not exist.
func (i *issuer) await(ctx context.Context, wanted func(*keySet) bool) (keys *keySet, current bool) {
	r := &i.ring
	r.mu.Lock()
	defer r.mu.Unlock()
	if keys, failing := i.usable(); keys != nil && r.done >= r.asked {
		if !r.unknown.Allow() {
			return keys, !failing
		}
		r.asked = r.begun + 1 // what is under way may have been answered before the key was made
		select {
		case r.wanted <- struct{}{}:
		default:
		}
	}
	patience := time.NewTimer(i.patience)
	defer patience.Stop()
	for late := false; r.done < r.asked; {
		ended := r.ended
		r.mu.Unlock()
		select {
		case <-ended:
		case <-patience.C:
			late = true
		case <-ctx.Done():
			late = true
		}
		r.mu.Lock()
		if keys, _ := i.usable(); late || keys != nil && wanted(keys) {
			return keys, false
		}
	}
	keys, failing := i.usable()
	return keys, !failing
}

// checkURL says what is wrong with the URL of something that is asked. http is
// for this machine only, unless it was allowed.
func checkURL(text string, allowHTTP bool) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return errors.New("must be an https URL")
	case u.User != nil:
		return errors.New("must have no user and no password")
	case u.Fragment != "":
		return errors.New("must have no fragment")
	case u.Scheme == "http" && !allowHTTP && !isLoopback(u.Hostname()):
		return errors.New("must be an https URL: http is for loopback only, unless allow_http is true")
	}
	return nil
}

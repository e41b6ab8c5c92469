package console

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/caller"
	"github.com/cloakroom-dev/cloakroom/httpapi/verify"
	"github.com/valyala/fasthttp"
)

// About is what a page is told of the program, as JSON.
type About struct {
	Version string `json:"version"`
	// Process tells this process apart: the name of its host.
	Process string `json:"process"`
	// ZITADEL says that the sessions are those of a ZITADEL.
	ZITADEL bool `json:"zitadel"`
	// StalenessSeconds is --near-cache-staleness, Replicas --revoke-wait-replicas.
	StalenessSeconds float64 `json:"stalenessSeconds"`
	Replicas         int     `json:"replicas"`
	// Policies are those of verify. Of which organizations they are, only a key that sees all sessions is told.
	Policies []verify.Asked `json:"policies"`
}

// permission is a caller.Grant as a page is told it.
type permission struct {
	All  bool     `json:"all"`
	Orgs []string `json:"orgs"`
}

func permissionOf(g caller.Grant) permission {
	return permission{g.All, append([]string{}, g.Orgs...)}
}

// me answers GET me: who has signed in, and what the program is.
func (c *Console) me(r *request, _ string) error { return c.tell(r, "") }

// tell answers who has signed in, and what the program is. proof is that of a session that has just begun, else "".
func (c *Console) tell(r *request, proof string) error {
	type may struct {
		Read   permission `json:"read"`
		Write  permission `json:"write"`
		Delete permission `json:"delete"`
	}
	answer := struct {
		Name        string     `json:"name"`
		UserID      string     `json:"userId"`
		Anonymous   bool       `json:"anonymous"`
		May         may        `json:"may"`
		EndsAt      *time.Time `json:"endsAt"` // null: never
		IdleSeconds int        `json:"idleSeconds"`
		Proof       string     `json:"proof,omitempty"`
		About
	}{
		Proof: proof, Name: r.who.caller.Name, UserID: r.who.caller.UserID, Anonymous: c.config.Anonymous,
		May:   may{permissionOf(r.who.caller.Read), permissionOf(r.who.caller.Write), permissionOf(r.who.caller.Delete)},
		About: c.config.About,
	}
	if !r.who.caller.Read.All {
		answer.Policies = withoutOrganizations(answer.Policies)
	}
	if !r.who.ends.IsZero() {
		ends := r.who.ends.UTC().Truncate(time.Second)
		answer.EndsAt, answer.IdleSeconds = &ends, int(idle.Seconds())
	}
	return writeJSON(r.http, fasthttp.StatusOK, answer)
}

// withoutOrganizations returns policies that do not name those they ask for, which come last.
func withoutOrganizations(policies []verify.Asked) []verify.Asked {
	all := make([]verify.Asked, 0, len(policies))
	for _, p := range policies {
		if others, _, found := strings.Cut(p.Asks, "organizations "); found {
			p.Asks = others + "some organizations"
		}
		all = append(all, p)
	}
	return all
}

// writeJSON makes v the answer.
func writeJSON(http *fasthttp.RequestCtx, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	http.SetStatusCode(status)
	http.SetBody(body)
	return nil
}

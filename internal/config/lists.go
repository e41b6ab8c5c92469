package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cloakroom-dev/cloakroom/httpapi"
	"github.com/cloakroom-dev/cloakroom/httpapi/caller"
	"github.com/cloakroom-dev/cloakroom/httpapi/verify"
	"github.com/cloakroom-dev/cloakroom/internal/oidc"
	"github.com/cloakroom-dev/cloakroom/rpc"
	"go.yaml.in/yaml/v3"
)

// A setting that is a list is one text with listSeparator between its members:
// so it is in the environment. Its flag may be repeated, and in the file it may
// be a YAML list, or, if its members have names, a mapping.
const (
	listKind      = "!!seq"
	listSeparator = ";"
)

// members are the members of a list.
func members(text string) []string {
	var list []string
	for m := range strings.SplitSeq(text, listSeparator) {
		if m = strings.TrimSpace(m); m != "" {
			list = append(list, m)
		}
	}
	return list
}

// policies keeps why a policy is bad in fault: there is more to say than what is
// allowed.
func policies(to *map[string]*verify.Policy, fault *error) Value {
	return Value{allowed: "a list of " + verify.PolicyForm + "; with ; between, if they are in one text", kind: listKind, set: func(s string) bool {
		all := map[string]*verify.Policy{}
		for _, text := range members(s) {
			name, p, err := verify.ParsePolicy(text)
			switch {
			case err == nil && all[name] != nil:
				err = fmt.Errorf("policy %s is there twice", name)
			case err == nil && len(all) == verify.MaxPolicies:
				err = fmt.Errorf("there are more than %d policies", verify.MaxPolicies)
			}
			if err != nil {
				*fault = err
				return false
			}
			all[name] = p
		}
		*to = all
		return true
	}}
}

// origins keeps why an origin is bad in fault, as policies does.
func origins(to *[]string, fault *error) Value {
	return Value{allowed: fmt.Sprintf("a list of at most %d origins, each %s; with ; between, if they are in one text", httpapi.MaxOrigins, httpapi.OriginForm), kind: listKind, set: func(s string) bool {
		list := members(s)
		if err := httpapi.CheckOrigins(list); err != nil {
			*fault = err
			return false
		}
		*to = list
		return true
	}}
}

func credentials(to *[]verify.Credential) Value {
	return Value{allowed: verify.CredentialForm, kind: "!!str", set: func(s string) bool {
		list, err := verify.ParseCredentials(s)
		*to = list
		return err == nil
	}}
}

// accepts takes a list of the tokens that verify accepts.
func accepts(to *verify.Accepts) Value {
	return Value{allowed: verify.AcceptsForm, kind: "!!str", set: func(s string) bool {
		a, err := verify.ParseAccepts(s)
		*to = a
		return err == nil
	}}
}

// claims takes a list of claims whose values answers of verify have.
func claims(to *[]oidc.NamedClaim) Value {
	return Value{allowed: fmt.Sprintf("at most %d claims, with commas between, each %s", verify.MaxClaims, oidc.NamedClaimForm), kind: "!!str", set: func(s string) bool {
		*to = nil
		if s == "" {
			return true
		}
		for part := range strings.SplitSeq(s, ",") {
			c, err := oidc.ParseNamedClaim(strings.TrimSpace(part))
			if err != nil || slices.ContainsFunc(*to, func(other oidc.NamedClaim) bool { return strings.EqualFold(other.Name, c.Name) }) {
				return false
			}
			*to = append(*to, c)
		}
		return len(*to) <= verify.MaxClaims
	}}
}

// services takes a list of what the listener of gRPC serves.
func services(to *rpc.Services) Value {
	return Value{allowed: rpc.ServicesForm, kind: "!!str", set: func(s string) bool {
		list, err := rpc.ParseServices(s)
		*to = list
		return err == nil
	}}
}

// proxies keeps why a list is bad in fault: there is more to say than what is
// allowed.
func proxies(to **caller.TrustedProxies, fault *error) Value {
	return Value{allowed: caller.TrustedProxiesForm + ", or empty", kind: "!!str", set: func(s string) bool {
		list, err := caller.ParseTrustedProxies(s)
		if err != nil {
			*fault = err
		}
		*to = list
		return err == nil
	}}
}

// nameList is a list of names with commas between.
func nameList(to *[]string, most, longest int) Value {
	return Value{allowed: fmt.Sprintf("at most %d names of at most %d bytes each, with commas between", most, longest), kind: "!!str", set: func(s string) bool {
		*to = nil
		if s == "" {
			return true
		}
		for name := range strings.SplitSeq(s, ",") {
			name = strings.TrimSpace(name)
			if name == "" || len(name) > longest {
				return false
			}
			*to = append(*to, name)
		}
		return len(*to) <= most
	}}
}

// listText makes the text of a list of what stands in the file: a text, a list
// of texts, or a mapping of names to texts or to mappings, as
// {strict: {factors: [password, webAuthN], max_age: 15m}}.
func listText(n *yaml.Node) (string, error) {
	switch n.Kind {
	case yaml.ScalarNode:
		return n.Value, nil
	case yaml.SequenceNode:
		return joinNodes(n.Content, listSeparator)
	case yaml.MappingNode:
		return joinPairs(n, "=", listSeparator, func(v *yaml.Node) (string, error) {
			if v.Kind == yaml.ScalarNode {
				return v.Value, nil
			}
			return joinPairs(v, ":", ",", func(v *yaml.Node) (string, error) {
				if v.Kind == yaml.SequenceNode {
					return joinNodes(v.Content, "+")
				}
				return joinNodes([]*yaml.Node{v}, "")
			})
		})
	}
	return "", errNotAList
}

var errNotAList = errors.New("not a list")

// joinNodes joins the texts of nodes. None may hold the separator: it would be
// taken for two.
func joinNodes(nodes []*yaml.Node, separator string) (string, error) {
	texts := make([]string, len(nodes))
	for i, n := range nodes {
		if n.Kind != yaml.ScalarNode || n.Tag == "!!null" || separator != "" && strings.Contains(n.Value, separator) {
			return "", errNotAList
		}
		texts[i] = n.Value
	}
	return strings.Join(texts, separator), nil
}

// joinPairs joins the names of a mapping with the texts of their values.
func joinPairs(n *yaml.Node, between, separator string, text func(*yaml.Node) (string, error)) (string, error) {
	if n.Kind != yaml.MappingNode {
		return "", errNotAList
	}
	var pairs []string
	for i := 0; i < len(n.Content); i += 2 {
		v, err := text(n.Content[i+1])
		if err != nil || strings.Contains(v, separator) || strings.ContainsAny(n.Content[i].Value, ";=,:") {
			return "", errNotAList
		}
		pairs = append(pairs, n.Content[i].Value+between+v)
	}
	return strings.Join(pairs, separator), nil
}

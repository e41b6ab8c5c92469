package httpapi

import (
	"strings"
	"testing"
)

// difference is one of docs/api.md's, and the exchanges that show it.
type difference struct {
	// says is in the section "Differences from ZITADEL".
	says string
	// status is ours; 0 is the recorded one.
	status int
	// timed says that the request may be too late, which is an answer as good.
	timed bool
	// stored says that what is stored differs, whatever the answer is.
	stored    bool
	exchanges []string
}

var recordedDifferences = []difference{
	{says: `Users are not looked up`, status: 201, exchanges: []string{"create unknown user", "create userId 200 chars"}},
	{says: `Users are not looked up`, status: 200, exchanges: []string{"connect v2 create unknown user", "connect v2beta create unknown user"}},
	{says: `Checks with a secret, login names and challenges are 501`, status: 501, exchanges: []string{
		"create user + password", "create user by loginName", "create unknown loginName", "create wrong password", "create password without user",
		"create empty password", "create password {}", "create totp wrong", "create challenge webauthn", "create unknown enum in challenge",
		"set password later", "set wrong password", "v2beta create recoveryCode check",
	}},
	{says: "`challenges`", exchanges: []string{"create challenges {}"}},
	{says: "`userAgent.ip` is kept as it is given", exchanges: []string{"get userAgent ip junk", "get userAgent ip v6"}},
	{says: `fingerprints have at most 200 characters`, status: 400, exchanges: []string{"create userAgent fingerprint 300 chars"}},
	{says: `an ID of more than 200 characters`, status: 404, exchanges: []string{"set id 201 chars", "v2beta set id 201"}},
	{says: `an ID of more than 200 characters`, status: 200, exchanges: []string{"delete id 201 chars"}},
	{says: `Data after the object`, status: 400, exchanges: []string{
		"create trailing garbage", "create trailing second object", "list trailing garbage", "set trailing",
	}},
	{says: `nesting deeper than 64 levels`, status: 400, exchanges: []string{"list 65 levels"}},
	{says: "a `charset` other than `utf-8`", status: 415, exchanges: []string{"create content-type charset latin1"}},
	{says: `a compressed body`, status: 415, exchanges: []string{"create gzip body", "list gzip"}},
	{says: `a compressed body`, status: 501, exchanges: []string{
		"connect v2 list gzip", "connect v2 list content-encoding br", "connect v2beta list gzip", "connect v2beta list content-encoding br",
	}},
	{says: `gRPC-Web`, status: 201, exchanges: []string{"create content-type application/grpc-web+json"}},
	{says: `gRPC-Web`, status: 415, exchanges: []string{
		"connect v2 list application/proto", "connect v2 grpc-web", "connect v2 grpc over http/1.1", "connect v2beta list application/proto",
		"connect v2beta grpc-web", "connect v2beta grpc over http/1.1",
	}},
	{says: `have a body of JSON`, exchanges: []string{
		"connect v2 list text/plain", "connect v2 list charset latin1", "connect v2 GET list", "connect v2 PUT list", "connect v2 unknown call",
		"connect v2beta list text/plain", "connect v2beta list charset latin1", "connect v2beta GET list", "connect v2beta PUT list",
		"connect v2beta unknown call",
	}},
	{says: "`charset` of the answer", exchanges: []string{"connect v2 list charset", "connect v2beta list charset"}},
	{says: "An empty body equals `{}` by Connect, too", status: 200, exchanges: []string{"connect v2 list no body", "connect v2beta list no body"}},
	{says: "`Connect-Timeout-Ms`", status: 200, timed: true, exchanges: []string{"connect v2 timeout 1 ms", "connect v2beta timeout 1 ms"}},
	{says: `in other words`, exchanges: []string{
		"list query null", "set user other", "get S1 token twice", "connect v2 protocol version 2", "connect v2 timeout junk",
		"connect v2beta protocol version 2", "connect v2beta timeout junk",
	}},
	{says: "`Errors.Token.Invalid (AUTH-7fs1e)`", status: 401, exchanges: []string{
		"create bad token", "get bad token", "list bad token", "set bad token", "delete bad token", "list auth Basic", "list auth Bearer empty",
		"list auth token without scheme", "connect v2 list bad auth", "connect v2beta list bad auth",
	}},
	{says: "`bearer` in any case", status: 200, exchanges: []string{"list auth bearer lower case"}},
	{says: "`AUTHZ-cdgFk`", status: 403, exchanges: []string{
		"create no permission", "get no permission", "set no permission", "delete no permission", "get S3 (other user's) with T2 as bearer",
		"set by noperm with right token in body", "set by own session token", "create by noperm",
	}},
	{says: `session token that is no credential`, status: 401, exchanges: []string{
		"list auth session token T1 (user only)", "list auth session token T0 (no user)", "list auth expired token", "list auth deleted T2",
	}},
	{says: "`totalResult` is right", exchanges: []string{
		"list no permission", "list auth session token T2 (user+password)", "list noperm all", "list T2 bearer ids",
		"list T2 bearer limit 1 of ids", "list offset past end", "list offset 2^63-1",
	}},
	{says: `makes ZITADEL answer 500`, status: 200, exchanges: []string{"list offset 2^64-1", "list ids with NUL"}},
	{says: `makes ZITADEL answer 500`, status: 404, exchanges: []string{"get id unicode", "get id nul"}},
	{says: `Paths`, status: 404, exchanges: []string{
		"create trailing slash", "get id empty", "get id with slash %2F", "get id percent junk", "double slash",
	}},
	{says: "`HEAD`", status: 200, exchanges: []string{"HEAD get"}},
	{says: "`HEAD`", status: 404, exchanges: []string{"HEAD list"}},
	{says: "`If-None-Match`", status: 304, exchanges: []string{"get If-None-Match"}},
	{says: "`If-None-Match`", status: 412, exchanges: []string{"set PATCH If-Match wrong"}},
	{says: "preflights are 405 without `--cors-origins`", status: 405, exchanges: []string{"OPTIONS preflight search", "OPTIONS preflight session PATCH", "OPTIONS preflight connect"}},
	{says: "`PUT`", status: 201, exchanges: []string{"PUT session"}},
	{says: "`PUT`", status: 400, exchanges: []string{"PUT search"}},
	{says: `enum name or number that is not known`, status: 400, exchanges: []string{
		"list sorting '1'", "list sorting 7", "list sorting NOPE", "list sorting lower case", "list creation method 9",
		"list creation method NOPE", "list creation method -1", "list expiration method 9", "list expiration method NOPE",
		"list expiration method -1", "connect v2 list unknown enum", "connect v2 list method 9", "connect v2beta list unknown enum",
		"connect v2beta list method 9",
	}},
	{says: "A limit above `--search-max-limit`", status: 400, exchanges: []string{
		"list limit 1001", "list limit 4294967295", "connect v2 list limit 1001", "connect v2beta list limit 1001",
	}},
	{says: `Metadata is merged by Set`, stored: true, exchanges: []string{
		"set metadata add", "set metadata delete", "set metadata same value (no change)", "connect v2 set", "connect v2beta set",
	}},
	{says: `Metadata is merged by Set`, exchanges: []string{`get S1 after set lifetime`}},
	{says: `gone at its expiration date`, stored: true, exchanges: []string{"create lifetime 0.000000001s"}},
	{says: `gone at its expiration date`, status: 404, exchanges: []string{
		"get expired", "get expired with token", "set expired metadata", "set expired lifetime", "set expired {}",
	}},
	{says: `gone at its expiration date`, exchanges: []string{"list ids expired"}},
	{says: `Set on such a session, or an unknown or deleted one, is 404`, status: 404, exchanges: []string{
		"set unknown id", "set unknown id, {}", "set unknown id, user check", "set after delete", "set after delete {}", "connect v2 set unknown",
		"connect v2beta set unknown",
	}},
	{says: `Delete of a session that is not there is 200`, status: 200, exchanges: []string{
		"DELETE search", "delete expired", "delete with empty token", "delete again", "delete again with old token", "delete again by noperm",
		"delete again by noperm with wrong token", "delete unknown", "delete unknown with token", "delete unknown by noperm",
		"delete body unknown field", "v2beta delete again", "connect v2 delete again", "connect v2beta delete again",
	}},
	{says: `takes a token from the query, too`, status: 403, exchanges: []string{"delete with wrong token in query"}},
	{says: "`user` without a member", status: 400, exchanges: []string{"connect v2beta create user {}"}},
}

// maskedDifferences are said in docs/api.md, too: mask has them alike everywhere.
var maskedDifferences = []string{
	"ZITADEL's counts events", "always fills in a user's login name, display name and organization", "leaves out zeros",
	"the same order as with one", "in other words", "no `debug`",
}

// differences returns the differences by the names of exchanges. Each must be
// said in docs/api.md.
func differences(t *testing.T) map[string]*difference {
	t.Helper()
	_, section, _ := strings.Cut(readDoc(t, apiDoc), "\n## Differences from ZITADEL\n")
	for _, says := range maskedDifferences {
		if !strings.Contains(section, says) {
			t.Errorf("the differences in %s do not have %q", apiDoc, says)
		}
	}
	byName := map[string]*difference{}
	for i := range recordedDifferences {
		d := &recordedDifferences[i]
		if !strings.Contains(section, d.says) {
			t.Errorf("the differences in %s do not have %q", apiDoc, d.says)
		}
		if len(d.exchanges) == 0 {
			t.Errorf("no exchange shows %q", d.says)
		}
		for _, name := range d.exchanges {
			if byName[name] != nil {
				t.Errorf("%s is listed twice", name)
			}
			byName[name] = d
		}
	}
	return byName
}

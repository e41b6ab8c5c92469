// Every error of the five calls: code, text and ZITADEL's ID, by the client and by
// REST.

import assert from "node:assert/strict";
import { before, test } from "node:test";
import { Code } from "@connectrpc/connect";
import { assertError, assertSameError, client, createSession, failure, newUser, restCall, spoken, userCheck, versions } from "./cloakroom.mjs";

const length = "value length must be between 1 and 200 runes, inclusive";
const long = "x".repeat(201);
const longToken = "x".repeat(501);
const tokenLength = "value length must be between 1 and 500 runes, inclusive";

for (const version of versions) {
  let sessionId;
  before(async () => {
    ({ sessionId } = await createSession(version, { checks: userCheck(newUser()) }));
  });

  // fails says that a call ends with this error, both ways. The request is made
  // when the session is there.
  const fails = (title, as, call, request, code, text, id, { headers, byREST = true } = {}) =>
    test(`${version}: ${title}`, async () => {
      const message = request();
      const error = await failure(client(version, as)[call](message, { headers }));
      assertError(error, code, text, id);
      if (byREST) {
        assertSameError((await restCall(version, as, call, message, headers)).body, error);
      }
      if (code === Code.Unauthenticated && spoken.startsWith("connect")) { // HTTP has no such trailer
        assert.equal(error.metadata.get("www-authenticate"), 'Bearer realm="cloakroom"');
      }
    });
  const it = () => ({ sessionId });

  fails("no credentials", "", "getSession", it, Code.Unauthenticated, "auth header missing");
  fails("bad credentials", "wrong", "listSessions", () => ({}), Code.Unauthenticated, "invalid token");

  const denied = [Code.PermissionDenied, "No matching permissions found", "AUTH-5mWD2"];
  fails("no permission to get", "nobody", "getSession", it, ...denied);
  fails("no permission to create", "org", "createSession", () => ({}), ...denied);
  fails("no permission to set", "reader", "setSession", it, ...denied);
  fails("no permission to delete", "writer", "deleteSession", it, ...denied);
  fails("get: wrong session token", "admin", "getSession", () => ({ sessionId, sessionToken: "wrong" }), Code.PermissionDenied, "Permission denied", "QUERY-dsfr3");
  fails("delete: wrong session token", "admin", "deleteSession", () => ({ sessionId, sessionToken: "wrong" }), Code.PermissionDenied, "Session Token is invalid", "COMMAND-sGr42");

  const unknown = [Code.NotFound, "Session does not exist", "QUERY-SFeaa"];
  fails("get: unknown session", "nobody", "getSession", () => ({ sessionId: "1" }), ...unknown);
  fails("set: unknown session", "nobody", "setSession", () => ({ sessionId: "1" }), ...unknown);
  fails("set: an ID that no session has", "admin", "setSession", () => ({ sessionId: long }), ...unknown);
  if (version === "v2") {
    fails("get: a long session ID", "admin", "getSession", () => ({ sessionId: long }), Code.InvalidArgument, `invalid GetSessionRequest.SessionId: ${length}`);
    fails("get: a long session token", "admin", "getSession", () => ({ sessionId, sessionToken: longToken }), Code.InvalidArgument, `invalid GetSessionRequest.SessionToken: ${tokenLength}`);
    fails("get: no session ID", "admin", "getSession", () => ({}), Code.InvalidArgument, `invalid GetSessionRequest.SessionId: ${length}`, undefined, { byREST: false });
  } else {
    fails("get: a long session ID", "admin", "getSession", () => ({ sessionId: long }), ...unknown);
    fails("get: no session ID", "admin", "getSession", () => ({}), ...unknown, { byREST: false });
  }
  fails("set: no session ID", "admin", "setSession", () => ({}), Code.InvalidArgument, `invalid SetSessionRequest.SessionId: ${length}`, undefined, { byREST: false });
  fails("delete: no session ID", "admin", "deleteSession", () => ({}), Code.InvalidArgument, `invalid DeleteSessionRequest.SessionId: ${length}`, undefined, { byREST: false });

  fails("a limit above the maximum", "admin", "listSessions", () => ({ query: { limit: 1001 } }), Code.InvalidArgument, "Limit exceeded", "QUERY-4M0fs");
  fails("a query without a member", "admin", "listSessions", () => ({ queries: [{}] }), Code.InvalidArgument,
    "invalid ListSessionsRequest.Queries[0]: embedded message failed validation | caused by: invalid SearchQuery.Query: value is required");
  fails("101 queries", "admin", "listSessions", () => ({ queries: Array(101).fill({ query: { case: "userIdQuery", value: {} } }) }), Code.InvalidArgument, /^proto: .*queries.*at most 100/, undefined, { byREST: spoken === "connect" }); // with a place in the JSON
  if (version === "v2") {
    fails("a creatorQuery with an empty ID", "admin", "listSessions", () => ({ queries: [{ query: { case: "creatorQuery", value: { id: "" } } }] }), Code.InvalidArgument, "List.Query.Invalid", "GRPC-x8n24uh");
    fails("a userAgentQuery with an empty fingerprint", "admin", "listSessions", () => ({ queries: [{ query: { case: "userAgentQuery", value: { fingerprintId: "" } } }] }), Code.InvalidArgument, "List.Query.Invalid", "GRPC-x8n23uh");
    fails("a userAgentQuery of a caller without a user agent", "admin", "listSessions", () => ({ queries: [{ query: { case: "userAgentQuery", value: {} } }] }), Code.InvalidArgument, "List.Query.Invalid", "GRPC-x8n23uh");
  }

  fails("a lifetime of nothing", "admin", "createSession", () => ({ lifetime: {} }), Code.InvalidArgument, "invalid CreateSessionRequest.Lifetime: value must be greater than 0s");
  fails("a negative lifetime", "admin", "setSession", () => ({ sessionId, lifetime: { seconds: -1n } }), Code.InvalidArgument, "invalid SetSessionRequest.Lifetime: value must be greater than 0s");
  fails("a long user ID", "admin", "createSession", () => ({ checks: userCheck(long) }), Code.InvalidArgument, /^invalid CreateSessionRequest.Checks: .*UserId/);
  fails("another user", "admin", "setSession", () => ({ sessionId, checks: userCheck("other") }), Code.InvalidArgument, /checks\.user\.userId.*cannot be changed/);
  fails("a session that is too large", "admin", "createSession", () => ({ metadata: { k: new Uint8Array(20_000) } }), Code.InvalidArgument, /16384/);
  fails("a body that is too large", "admin", "createSession", () => ({ metadata: { k: new Uint8Array(300_000) } }), Code.ResourceExhausted, /^(request body too large: at most|message size \d+ is larger than configured max) 262144( bytes)?$/, undefined,
    { byREST: spoken === "connect" });

  const bytes = Uint8Array.of(1);
  for (const [name, checks] of Object.entries({
    password: { password: { password: "hunter2" } },
    webAuthN: { webAuthN: { credentialAssertionData: {} } },
    idpIntent: { idpIntent: { idpIntentId: "i", idpIntentToken: "t" } },
    totp: { totp: { code: "1" } },
    otpSms: { otpSms: { code: "1" } },
    otpEmail: { otpEmail: { code: "1" } },
    "user.loginName": { user: { search: { case: "loginName", value: "alice" } } },
  })) {
    const text = new RegExp(`^checks\\.${name} needs an identity provider`);
    fails(`the check ${name}`, "admin", "createSession", () => ({ checks, metadata: { k: bytes } }), Code.Unimplemented, text);
    fails(`the check ${name} in set`, "admin", "setSession", () => ({ sessionId, checks }), Code.Unimplemented, text);
  }
  for (const challenge of ["webAuthN", "otpSms", "otpEmail"]) {
    fails(`the challenge ${challenge}`, "admin", "createSession", () => ({ challenges: { [challenge]: {} } }), Code.Unimplemented, new RegExp(`^challenges\\.${challenge} needs an identity provider`));
  }

  fails("another sequence than If-Match asks for", "admin", "setSession", () => ({ sessionId, metadata: { k: bytes } }), Code.FailedPrecondition,
    "the stored session has another sequence than If-Match asks for", undefined, { headers: { "If-Match": '"7"' } });
  fails("another consistency", "admin", "getSession", it, Code.InvalidArgument, /Session-Consistency/, undefined, { headers: { "Session-Consistency": "eventual" } });
}

test("a search that is too costly", async () => {
  const lines = Array.from({ length: 30 }, (_, i) => `{"id":"costly-${i}","factors":{"user":{"id":"u","organizationId":"org-2"}}}`);
  const answer = await fetch(`${process.env.CLOAKROOM_URL}/v2/sessions/import`, {
    method: "POST", headers: { authorization: `Bearer ${JSON.parse(process.env.CLOAKROOM_KEYS).admin}` }, body: lines.join("\n"),
  });
  assert.equal((await answer.json()).stored, 30);
  for (const version of versions) {
    const error = await failure(client(version, "org").listSessions({}));
    assertError(error, Code.ResourceExhausted, /^search too costly: /);
    assertSameError((await restCall(version, "org", "listSessions", {})).body, error);
  }
});

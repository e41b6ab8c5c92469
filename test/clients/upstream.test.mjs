// Cloakroom in front of a ZITADEL: ZITADEL's client is answered there as it is by ZITADEL itself.

import assert from "node:assert/strict";
import { test } from "node:test";
import { equals, toJson } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { NewAuthorizationBearerInterceptor, createClientFor } from "@zitadel/client";
import { createServerTransport } from "@zitadel/client/node";
import { createSessionServiceClient } from "@zitadel/client/v2";
import { CredentialsCheckErrorSchema } from "@zitadel/proto/zitadel/message_pb.js";
import * as v2 from "@zitadel/proto/zitadel/session/v2/session_service_pb.js";
import * as v2beta from "@zitadel/proto/zitadel/session/v2beta/session_service_pb.js";

const { CLOAKROOM_URL, CLOAKROOM_GRPC_URL, ZITADEL_URL, ZITADEL_TOKEN, ZITADEL_PASSWORD, USER_THROUGH, USER_DIRECT } = process.env;
assert.ok(CLOAKROOM_URL && ZITADEL_URL, "go test ./test/clients runs these tests");

const versions = { v2: [v2, createSessionServiceClient], v2beta: [v2beta, createClientFor(v2beta.SessionService)] };
const byConnect = (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: false, interceptors: [NewAuthorizationBearerInterceptor(ZITADEL_TOKEN)] });
const byGRPC = (baseUrl) => createServerTransport(ZITADEL_TOKEN, { baseUrl });
const transports = {
  createServerTransport: [byGRPC(CLOAKROOM_GRPC_URL), byGRPC(ZITADEL_URL)],
  connect: [byConnect(CLOAKROOM_URL), byConnect(ZITADEL_URL)],
};

/** What gateways are told of a session and its token. */
async function verify(sessionId, sessionToken, status) {
  const answer = await fetch(`${CLOAKROOM_URL}/verify`, { headers: { authorization: `Bearer ${sessionId}:${sessionToken}` } });
  await answer.arrayBuffer();
  assert.equal(answer.status, status, answer.headers.get("x-auth-reason"));
  if (status === 200) {
    assert.equal(answer.headers.get("x-session-user"), USER_THROUGH);
  }
}

/** An answer, with what differs from session to session replaced by what it is: IDs, dates, tokens. */
function shape(value) {
  if (typeof value === "string") {
    return value.replace(/^\d{4}-\d\d-\d\dT.*Z$/, "a date").replace(/^\d{15,}$/, "an ID").replace(/^[\w-]+(\.[\w-]+){4}$/, (token) => `a token of ${token.length}`);
  }
  if (Array.isArray(value)) {
    return value.map(shape);
  }
  return typeof value === "object" ? Object.fromEntries(Object.entries(value).map(([k, v]) => [k, shape(v)])) : value;
}

/** The error that a promise ends with, and all that it says. */
async function failure(promise) {
  try {
    await promise;
  } catch (e) {
    const error = ConnectError.from(e);
    const details = error.findDetails(CredentialsCheckErrorSchema).map(({ id, message, failedAttempts }) => ({ id, message, failedAttempts }));
    return { code: Code[error.code], message: error.rawMessage, details, of: error.details.map((d) => d.type) };
  }
  return assert.fail("it succeeded");
}

for (const [version, [schema, clientFor]] of Object.entries(versions)) {
  for (const [name, [toCloakroom, toZITADEL]] of Object.entries(transports)) {
    const [through, direct] = [clientFor(toCloakroom), clientFor(toZITADEL)];
    /** Sends a call both ways, each about its own session, and returns both answers, which are alike. */
    const both = async (call, a, b) => {
      const answers = [await through[call](a), await direct[call](b)];
      const [said, told] = answers.map((answer) => shape(toJson(schema.SessionService.method[call].output, answer)));
      assert.deepEqual(said, told);
      return answers;
    };
    /** Reads the same both ways, twice, so that a copy may answer, and returns it. */
    const read = async (call, request) => {
      const want = await direct[call](request);
      for (let n = 0; n < 2; n++) {
        const got = await through[call](request);
        if (call === "listSessions") {
          got.details.timestamp = want.details.timestamp; // two searches, two instants
        }
        const { output } = schema.SessionService.method[call];
        assert.ok(equals(output, got, want), JSON.stringify([toJson(output, got), toJson(output, want)]));
      }
      return want;
    };
    const checks = (id, password) => ({ user: { search: { case: "userId", value: id } }, password: { password } });

    test(`${version}, ${name}: create, get, set, list, delete`, async () => {
      const more = { metadata: { tenant: Uint8Array.from([0, 255]) }, userAgent: { fingerprintId: "fp", ip: "192.0.2.7", description: "Firefox" }, lifetime: { seconds: 3600n } };
      const [a, b] = await both("createSession", { checks: checks(USER_THROUGH, ZITADEL_PASSWORD), ...more }, { checks: checks(USER_DIRECT, ZITADEL_PASSWORD), ...more });
      const { sessionId } = a;
      await verify(sessionId, a.sessionToken, 200);
      const { session } = await read("getSession", { sessionId, sessionToken: a.sessionToken });
      assert.equal(session.factors.user.id, USER_THROUGH);
      assert.ok(session.factors.password.verifiedAt);
      await read("getSession", { sessionId });

      const metadata = { step: Uint8Array.from([2]) };
      const [set] = await both("setSession", { sessionId, metadata }, { sessionId: b.sessionId, metadata });
      assert.notEqual(set.sessionToken, a.sessionToken);
      await verify(sessionId, set.sessionToken, 200);
      await verify(sessionId, a.sessionToken, 401);
      assert.deepEqual(Object.keys((await read("getSession", { sessionId, sessionToken: set.sessionToken })).session.metadata), ["step"]);
      const old = [through, direct].map((client) => failure(client.getSession({ sessionId, sessionToken: a.sessionToken })));
      assert.deepEqual(await old[0], await old[1]);

      const byUser = { case: "userIdQuery", value: { id: USER_THROUGH } };
      const list = await read("listSessions", { query: { limit: 10, asc: true }, queries: [{ query: byUser }] });
      assert.deepEqual(list.sessions.map((s) => s.id), [sessionId]);
      await verify(sessionId, set.sessionToken, 200);

      await both("deleteSession", { sessionId, sessionToken: set.sessionToken }, { sessionId: b.sessionId });
      await verify(sessionId, set.sessionToken, 401);
      const gone = [through, direct].map((client) => failure(client.getSession({ sessionId })));
      assert.deepEqual(await gone[0], await gone[1]);
      assert.equal((await gone[0]).code, "NotFound");
      assert.equal((await read("listSessions", { queries: [{ query: byUser }] })).sessions.length, 0);
    });

    test(`${version}, ${name}: a wrong password`, async () => {
      const says = await failure(through.createSession({ checks: checks(USER_THROUGH, "wrong") }));
      assert.deepEqual(says, await failure(direct.createSession({ checks: checks(USER_DIRECT, "wrong") })));
      assert.equal(says.code, "InvalidArgument");
      assert.deepEqual(says.details, [{ id: "COMMAND-3M0fs", message: "Password is invalid", failedAttempts: 1 }]);

      // Of a session that is there, which stays as it is.
      const [a, b] = await both("createSession", { checks: checks(USER_THROUGH, ZITADEL_PASSWORD) }, { checks: checks(USER_DIRECT, ZITADEL_PASSWORD) });
      const wrong = { password: { password: "wrong" } };
      const set = await failure(through.setSession({ sessionId: a.sessionId, checks: wrong }));
      assert.deepEqual(set, await failure(direct.setSession({ sessionId: b.sessionId, checks: wrong })));
      assert.equal(set.details[0].failedAttempts, 1);
      await verify(a.sessionId, a.sessionToken, 200);
      await both("deleteSession", { sessionId: a.sessionId }, { sessionId: b.sessionId });
      await verify(a.sessionId, a.sessionToken, 401);
    });
  }
}

// ListSessions, by every query that the schema knows.

import assert from "node:assert/strict";
import { before, test } from "node:test";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { TimestampQueryMethod as Method } from "@zitadel/proto/zitadel/object/v2/object_pb.js";
import { SessionFieldName } from "@zitadel/proto/zitadel/session/v2/session_pb.js";
import { assertError, client, createSession, failure, micros, newUser, read, shards, userCheck, versions } from "./cloakroom.mjs";

const query = (kind, value = {}) => ({ query: { case: kind, value } });

for (const version of versions) {
  const user = newUser();
  const fingerprintId = `fp-${user}`;
  const byUser = query("userIdQuery", { id: user });
  const ids = []; // oldest first
  let dates;

  const list = (request, as = "reader") => read(version, as, "listSessions", request);
  const found = async (queries, as) => {
    const { sessions, details } = await list({ query: { asc: true }, queries }, as);
    assert.equal(details.totalResult, BigInt(sessions.length));
    assert.equal(details.processedSequence, 0n);
    return sessions.map((s) => ids.indexOf(s.id));
  };

  before(async () => {
    for (let i = 0; i < 5; i++) {
      const request = { checks: userCheck(user), userAgent: i < 2 ? { fingerprintId } : undefined };
      const { sessionId } = await createSession(version, request, i % 2 ? "writer" : "admin");
      ids.push(sessionId);
    }
    const { sessions } = await list({ query: { asc: true }, queries: [byUser] });
    assert.deepEqual(sessions.map((s) => s.id), ids);
    dates = sessions.map((s) => s.creationDate);
    for (let i = 1; i < 5; i++) {
      assert.ok(micros(dates[i - 1]) < micros(dates[i]));
    }
  });

  test(`${version}: order and pages`, async () => {
    for (const sortingColumn of [SessionFieldName.UNSPECIFIED, SessionFieldName.CREATION_DATE]) {
      const newest = await list({ query: { limit: 2, offset: 1n }, queries: [byUser], sortingColumn });
      assert.deepEqual(newest.sessions.map((s) => s.id), [ids[3], ids[2]]);
      assert.equal(newest.details.totalResult, 5n);
      const oldest = await list({ query: { limit: 2, offset: 4n, asc: true }, queries: [byUser], sortingColumn });
      assert.deepEqual(oldest.sessions.map((s) => s.id), [ids[4]]);
    }
    const all = await list({ query: { limit: 3, asc: false } });
    assert.equal(all.sessions.length, 3);
    assert.ok(all.details.totalResult >= 5n);
  });

  test(`${version}: idsQuery`, async () => {
    assert.deepEqual(await found([query("idsQuery", { ids: [ids[3], "unknown", ids[0], ids[3]] })]), [0, 3]);
    assert.deepEqual(await found([query("idsQuery")]), []);
  });

  test(`${version}: userIdQuery`, async () => {
    assert.deepEqual(await found([byUser, query("idsQuery", { ids: [ids[1]] })]), [1]);
    assert.deepEqual(await found([query("userIdQuery", { id: "" })]), []);
  });

  test(`${version}: creationDateQuery`, async () => {
    const by = (method, creationDate) => found([byUser, query("creationDateQuery", { creationDate, method })]);
    assert.deepEqual(await by(Method.EQUALS, dates[2]), [2]);
    assert.deepEqual(await by(Method.GREATER, dates[2]), [3, 4]);
    assert.deepEqual(await by(Method.GREATER_OR_EQUALS, dates[2]), [2, 3, 4]);
    assert.deepEqual(await by(Method.LESS, dates[2]), [0, 1]);
    assert.deepEqual(await by(Method.LESS_OR_EQUALS, dates[2]), [0, 1, 2]);
    // A nanosecond later is later, though dates have microseconds.
    const later = { seconds: dates[2].seconds, nanos: dates[2].nanos + 1 };
    assert.deepEqual(await by(Method.EQUALS, later), []);
    assert.deepEqual(await by(Method.LESS, later), [0, 1, 2]);
    assert.deepEqual(await by(Method.GREATER, undefined), [0, 1, 2, 3, 4]); // than 1970
    assert.deepEqual(await by(Method.GREATER, timestampFromDate(new Date("2200-01-01T00:00:00Z"))), []);
  });

  if (version === "v2") { // v2beta does not know them
    test(`${version}: creatorQuery`, async () => {
      assert.deepEqual(await found([byUser, query("creatorQuery", { id: "svc-writer" })]), [1, 3]);
      assert.deepEqual(await found([byUser, query("creatorQuery")], "admin"), [0, 2, 4]); // the caller's own
    });

    test(`${version}: userAgentQuery`, async () => {
      assert.deepEqual(await found([query("userAgentQuery", { fingerprintId })]), [0, 1]);
      const { sessionId } = await createSession(version, { checks: userCheck(user), userAgent: { fingerprintId: "fp-agent" } });
      const own = await list({ queries: [query("userAgentQuery"), byUser] }, "agent"); // the caller's
      assert.deepEqual(own.sessions.map((s) => s.id), [sessionId]);
      await client(version).deleteSession({ sessionId });
    });

    test(`${version}: all queries together`, async () => {
      const creationDate = dates[1];
      assert.deepEqual(await found([
        byUser, query("idsQuery", { ids }), query("creationDateQuery", { creationDate, method: Method.LESS_OR_EQUALS }),
        query("creatorQuery", { id: "svc-admin" }), query("userAgentQuery", { fingerprintId }),
      ]), [0]);
    });
  }

  test(`${version}: an offset above 2^53`, async () => {
    const query = { offset: 2n ** 53n + 1n };
    const page = await list({ query, queries: [byUser] });
    assert.equal(page.sessions.length, 0);
    assert.equal(page.details.totalResult, 5n);
    if (shards === 1) {
      assert.equal((await list({ query })).sessions.length, 0);
    } else {
      assertError(await failure(client(version).listSessions({ query })), Code.InvalidArgument, /offset/);
    }
  });

  test(`${version}: whoever may see less is shown less`, async () => {
    assert.deepEqual(await found([byUser], "nobody"), []);
    assert.deepEqual(await found([byUser], "writer"), [1, 3]); // those it has created
  });
}

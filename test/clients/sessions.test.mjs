// The five calls: what is created is read, changed, found and deleted.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Code } from "@connectrpc/connect";
import { assertError, client, createSession, failure, micros, newUser, read, restMessage, userCheck, versions } from "./cloakroom.mjs";

const bytes = (...b) => Uint8Array.from(b);
/** Metadata as arrays of bytes, of which Node.js has two kinds. */
const plain = (metadata) => Object.fromEntries(Object.entries(metadata).map(([k, v]) => [k, Uint8Array.from(v)]));
const allBytes = Uint8Array.from({ length: 256 }, (_, i) => i);

for (const version of versions) {
  test(`${version}: create, get, set, delete`, async () => {
    const user = newUser();
    const created = await createSession(version, {
      checks: userCheck(user),
      metadata: { all: allBytes, empty: bytes(), "ключ": bytes(255) },
      userAgent: { fingerprintId: `fp-${user}`, ip: "192.0.2.7", description: "Firefox", header: { accept: { values: ["a", "b"] } } },
      lifetime: { seconds: 3600n, nanos: 500_001_000 },
    });
    const { details, sessionId, sessionToken } = created;
    assert.equal(details.sequence, 1n);
    assert.equal(details.resourceOwner, "instance-1");
    assert.match(sessionToken, new RegExp(`^${sessionId}\\.`));

    const { session } = await read(version, "reader", "getSession", { sessionId });
    assert.equal(session.id, sessionId);
    assert.equal(session.sequence, 1n);
    assert.equal(micros(session.creationDate), micros(details.changeDate));
    assert.equal(micros(session.changeDate), micros(details.changeDate));
    assert.equal(micros(session.expirationDate), micros(details.changeDate) + 3_600_500_001n);
    assert.equal(session.factors.user.id, user);
    assert.equal(micros(session.factors.user.verifiedAt), micros(details.changeDate));
    assert.deepEqual(plain(session.metadata), { all: allBytes, "ключ": bytes(255) });
    assert.equal(session.userAgent.fingerprintId, `fp-${user}`);
    assert.equal(session.userAgent.ip, "192.0.2.7");
    assert.equal(session.userAgent.description, "Firefox");
    assert.deepEqual(session.userAgent.header.accept.values, ["a", "b"]);

    // Its token is as good as permission, and the only one that is.
    const byToken = await read(version, "nobody", "getSession", { sessionId, sessionToken });
    assert.deepEqual(byToken.session, session);

    const admin = client(version);
    const set = await admin.setSession({ sessionId, metadata: { all: bytes(), more: bytes(1) }, lifetime: { seconds: 60n } });
    assert.equal(set.details.sequence, 2n);
    assert.notEqual(set.sessionToken, sessionToken);
    const after = (await read(version, "reader", "getSession", { sessionId, sessionToken: set.sessionToken })).session;
    assert.equal(after.sequence, 2n);
    assert.equal(micros(after.creationDate), micros(session.creationDate));
    assert.equal(micros(after.changeDate), micros(set.details.changeDate));
    assert.equal(micros(after.expirationDate), micros(set.details.changeDate) + 60_000_000n);
    assert.deepEqual(plain(after.metadata), { more: bytes(1), "ключ": bytes(255) });
    assertError(await failure(client(version).getSession({ sessionId, sessionToken })), Code.PermissionDenied, "Permission denied", "QUERY-dsfr3");

    // By REST, and then nothing: the details stay, and there is no token.
    const again = await restMessage(version, "admin", "setSession", { sessionId, metadata: { more: bytes() } });
    assert.equal(again.details.sequence, 3n);
    const nothing = await admin.setSession({ sessionId });
    assert.deepEqual(nothing.details, again.details);
    assert.equal(nothing.sessionToken, "");
    assert.deepEqual(await restMessage(version, "admin", "setSession", { sessionId }), nothing);

    const deleted = await client(version, "nobody").deleteSession({ sessionId, sessionToken: again.sessionToken });
    assert.equal(deleted.details.sequence, 4n);
    assert.equal(deleted.details.resourceOwner, "instance-1");
    assertError(await failure(admin.getSession({ sessionId })), Code.NotFound, "Session does not exist", "QUERY-SFeaa");
    const twice = await admin.deleteSession({ sessionId });
    assert.equal(twice.details.sequence, 0n);
    assert.ok(micros(twice.details.changeDate) >= micros(deleted.details.changeDate));
  });

  test(`${version}: delete by permission, and by REST`, async () => {
    for (const how of [client(version), { deleteSession: (r) => restMessage(version, "admin", "deleteSession", r) }]) {
      const { sessionId } = await createSession(version, { checks: userCheck(newUser()) });
      const { details } = await how.deleteSession({ sessionId });
      assert.equal(details.sequence, 2n);
      assertError(await failure(client(version).getSession({ sessionId })), Code.NotFound, "Session does not exist", "QUERY-SFeaa");
    }
  });

  test(`${version}: a session without anything`, async () => {
    const { sessionId } = await createSession(version, {});
    const { session } = await read(version, "reader", "getSession", { sessionId });
    assert.equal(session.factors, undefined);
    assert.equal(session.userAgent, undefined);
    assert.equal(session.expirationDate, undefined);
    assert.deepEqual(plain(session.metadata), {});
  });

  test(`${version}: a call that is answered before its deadline`, async () => {
    const { sessionId } = await createSession(version, {});
    const { session } = await client(version).getSession({ sessionId }, { timeoutMs: 30_000 });
    assert.equal(session.id, sessionId);
  });
}

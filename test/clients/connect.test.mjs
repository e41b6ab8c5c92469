// What the protocol itself has to say on the listener of the API.

import assert from "node:assert/strict";
import { before, test } from "node:test";
import { Code } from "@connectrpc/connect";
import { compressionGzip } from "@connectrpc/connect-node";
import { createClientFor } from "@zitadel/client";
import { createUserServiceClient } from "@zitadel/client/v2";
import { assertError, connect, createSession, failure, newUser, rest, schemas, userCheck, versions } from "./cloakroom.mjs";

for (const version of versions) {
  const service = createClientFor(schemas[version].SessionService);
  let sessionId;
  before(async () => {
    ({ sessionId } = await createSession(version, { checks: userCheck(newUser()) }));
  });

  test(`${version}: binary messages`, async () => {
    const error = await failure(service(connect("admin", { useBinaryFormat: true })).getSession({ sessionId }));
    assertError(error, Code.InvalidArgument, "the Content-Type of a request must be application/json");
    assert.equal(error.metadata.get("accept-post"), "application/json");
  });
  test(`${version}: a compressed request`, async () => {
    const error = await failure(service(connect("admin", { sendCompression: compressionGzip, compressMinBytes: 1 })).getSession({ sessionId }));
    assertError(error, Code.Unimplemented, /^compressed/);
    assert.equal(error.metadata.get("accept-encoding"), "identity");
  });
  test(`${version}: the protocol's GET`, async () => {
    const { status, body } = await rest("admin", "GET", `/zitadel.session.${version}.SessionService/GetSession?connect=v1&encoding=json&message=%7B%7D`);
    assert.deepEqual([status, body], [405, { code: "unimplemented", message: "Method Not Allowed" }]);
  });
}

test("another service", async () => {
  assertError(await failure(createUserServiceClient(connect("admin")).getUserByID({ userId: "1" })), Code.Unimplemented, "Not Found");
});

// Redis is away: no call says that there is no such session. (I2)

import assert from "node:assert/strict";
import { test } from "node:test";
import { Code } from "@connectrpc/connect";
import { assertError, assertSameError, client, failure, restCall, versions } from "./cloakroom.mjs";

const requests = {
  listSessions: {},
  getSession: { sessionId: "1" },
  createSession: {},
  setSession: { sessionId: "1" },
  deleteSession: { sessionId: "1" },
};

for (const version of versions) {
  for (const [call, request] of Object.entries(requests)) {
    test(`${version}: ${call} without Redis`, async () => {
      const error = await failure(client(version)[call](request));
      assertError(error, Code.Unavailable, "the session store is unavailable");
      assert.equal(error.metadata.get("retry-after"), "1");
      assertSameError((await restCall(version, "admin", call, request)).body, error);
    });
  }
}

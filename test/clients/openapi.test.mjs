// The client of openapi.ts, compiled, against the running program: CLIENT is where it is.
import assert from "node:assert/strict";
import { test } from "node:test";

const { CLIENT, CLOAKROOM_URL, CLOAKROOM_KEYS } = process.env;
const { connect } = await import(CLIENT);
const client = connect(CLOAKROOM_URL, JSON.parse(CLOAKROOM_KEYS).admin);

test("the generated client lists sessions", async () => {
  const user = `typescript-${process.pid}`;
  const ids = [await client.create(user), await client.create(user)];
  const { total, sessions } = await client.list(user);
  assert.equal(total, "2");
  assert.deepEqual(sessions.map((s) => [s.id, s.factors.user.id, s.metadata.cart]), ids.reverse().map((id) => [id, user, "NDI="]));
  assert.deepEqual(await client.get(ids[0]), sessions[0]);
  assert.equal(await client.revoke(user), "2");
  assert.deepEqual(await client.list(user), { total: "0", sessions: [] });
  await assert.rejects(client.get(ids[0]), { message: "404 5 Session does not exist (QUERY-SFeaa)" });
});

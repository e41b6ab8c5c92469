// What the tests share: the Cloakroom that clients_test.go runs, ZITADEL's
// clients of it, and REST, whose bodies are decoded strictly with ZITADEL's own
// schema.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { create, createRegistry, equals, fromJson, toJson } from "@bufbuild/protobuf";
import { AnySchema, anyUnpack } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { NewAuthorizationBearerInterceptor, createClientFor } from "@zitadel/client";
import { createServerTransport } from "@zitadel/client/node";
import { createSessionServiceClient } from "@zitadel/client/v2";
import { createClientTransport } from "@zitadel/client/web";
import { ErrorDetailSchema } from "@zitadel/proto/zitadel/message_pb.js";
import * as v2 from "@zitadel/proto/zitadel/session/v2/session_service_pb.js";
import * as v2beta from "@zitadel/proto/zitadel/session/v2beta/session_service_pb.js";

export const url = process.env.CLOAKROOM_URL;
export const keys = JSON.parse(process.env.CLOAKROOM_KEYS);
export const shards = Number(process.env.CLOAKROOM_SHARDS);
/** How sessions are created: by "REST", or by the "client". */
export const createdBy = process.env.CLOAKROOM_CREATED_BY;
assert.ok(url && shards > 0 && ["REST", "client"].includes(createdBy), "go test ./test/clients runs these tests");

export const schemas = { v2, v2beta };
export const versions = Object.keys(schemas);

const clientsFor = { v2: createSessionServiceClient, v2beta: createClientFor(v2beta.SessionService) };

/** A transport by Connect and JSON, to the API, as the caller with an API key of that name, "" for none. */
export function connect(as, options = {}) {
  return createConnectTransport({ baseUrl: url, httpVersion: "1.1", useBinaryFormat: false, interceptors: bearer(as), ...options });
}

const bearer = (as) => (as === "" ? [] : [NewAuthorizationBearerInterceptor(keys[as] ?? as)]);

const grpc = process.env.CLOAKROOM_GRPC_URL;
const transports = {
  connect,
  "connect JSON 1.1": (as) => connect(as, { baseUrl: grpc }),
  "connect JSON 2": (as) => connect(as, { baseUrl: grpc, httpVersion: "2" }),
  "connect binary 1.1": (as) => connect(as, { baseUrl: grpc, useBinaryFormat: true }),
  "connect binary 2": (as) => connect(as, { baseUrl: grpc, useBinaryFormat: true, httpVersion: "2" }),
  "connect binary GET": (as) => connect(as, { baseUrl: grpc, useBinaryFormat: true, useHttpGet: true }),
  grpc: (as) => createGrpcTransport({ baseUrl: grpc, interceptors: bearer(as) }),
  "grpc-web 1.1": (as) => createGrpcWebTransport({ baseUrl: grpc, httpVersion: "1.1", interceptors: bearer(as) }),
  "grpc-web 2": (as) => createGrpcWebTransport({ baseUrl: grpc, httpVersion: "2", interceptors: bearer(as) }),
  // What ZITADEL's package has itself, which cannot be without a token.
  createServerTransport: (as) => (as === "" ? transports.grpc(as) : createServerTransport(keys[as] ?? as, { baseUrl: grpc })),
  createClientTransport: (as) => (as === "" ? transports["grpc-web 1.1"](as) : createClientTransport(keys[as] ?? as, { baseUrl: grpc })),
};
/** How this run's client speaks. */
export const spoken = process.env.CLOAKROOM_TRANSPORT;
assert.ok(transports[spoken], `there is no transport ${spoken}`);

const made = {}; // one of each caller: connections of HTTP/2 are kept
const transport = (as) => (made[as] ??= transports[spoken](as));

/** ZITADEL's client of a version of the session service. */
export const client = (version, as = "admin") => clientsFor[version](transport(as));

/** Sends a request by REST. */
export async function rest(as, method, path, body, headers = {}) {
  if (as !== "") {
    headers = { authorization: `Bearer ${keys[as] ?? as}`, ...headers };
  }
  const answer = await fetch(url + path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  return { status: answer.status, body: await answer.json() };
}

const routes = {
  listSessions: ["POST", "/sessions/search"],
  getSession: ["GET", "/sessions/{id}"],
  createSession: ["POST", "/sessions"],
  setSession: ["PATCH", "/sessions/{id}"],
  deleteSession: ["DELETE", "/sessions/{id}"],
};

/** Sends a call by REST: the message that the client would send by Connect. */
export async function restCall(version, as, call, request, headers) {
  const [method, route] = routes[call];
  const input = schemas[version].SessionService.method[call].input;
  const { sessionId = "", ...body } = toJson(input, create(input, request));
  let path = `/${version}${route.replace("{id}", encodeURIComponent(sessionId))}`;
  if (method !== "GET") {
    return rest(as, method, path, body, headers);
  }
  if (body.sessionToken !== undefined) {
    path += `?sessionToken=${encodeURIComponent(body.sessionToken)}`;
  }
  return rest(as, method, path, undefined, headers);
}

/** Decodes an answer of REST. A field that the schema does not know is an error. */
export function strict(version, call, body) {
  return fromJson(schemas[version].SessionService.method[call].output, body, { ignoreUnknownFields: false });
}

/** Sends a call by REST that must succeed, and decodes the answer. */
export async function restMessage(version, as, call, request) {
  const { status, body } = await restCall(version, as, call, request);
  assert.equal(status, call === "createSession" ? 201 : 200, JSON.stringify(body));
  return strict(version, call, body);
}

/** Reads both ways what both must answer alike, and returns it. */
export async function read(version, as, call, request) {
  const byClient = await client(version, as)[call](request);
  const byREST = await restMessage(version, as, call, request);
  if (call === "listSessions") {
    byREST.details.timestamp = byClient.details.timestamp; // two searches, two instants
  }
  const schema = schemas[version].SessionService.method[call].output;
  assert.ok(equals(schema, byClient, byREST), `${call}: the client and REST differ: ${JSON.stringify([toJson(schema, byClient), toJson(schema, byREST)])}`);
  return byClient;
}

/** Creates a session, by REST or by Connect, as this run is about. */
export async function createSession(version, request, as = "admin") {
  if (createdBy === "client") {
    return client(version, as).createSession(request);
  }
  return restMessage(version, as, "createSession", request);
}

/** A check of a user, and a user whom no other test has. */
export const userCheck = (id) => ({ user: { search: { case: "userId", value: id } } });
export const newUser = () => `user-${randomUUID()}`;

/** An instant in microseconds, which is how exact dates are. */
export function micros(timestamp) {
  assert.equal(timestamp.nanos % 1000, 0);
  return timestamp.seconds * 1000000n + BigInt(timestamp.nanos / 1000);
}

/** The error that a promise ends with. */
export async function failure(promise) {
  try {
    await promise;
  } catch (e) {
    return ConnectError.from(e);
  }
  return assert.fail("it succeeded");
}

/** Checks an error of Connect: its code, its text, and ZITADEL's ID for it. */
export function assertError(error, code, text, id) {
  assert.equal(Code[error.code], Code[code], error.message);
  if (text instanceof RegExp) {
    assert.match(error.rawMessage, text);
  } else {
    assert.equal(error.rawMessage, id === undefined ? text : `${text} (${id})`);
  }
  const details = error.findDetails(ErrorDetailSchema).map(({ id, message }) => ({ id, message }));
  assert.deepEqual(details, id === undefined ? [] : [{ id, message: text }]);
}

/** Checks that an error of REST, a google.rpc.Status, says what one of Connect says. */
export function assertSameError(body, error) {
  const { code, message, details = [], ...rest } = body;
  assert.deepEqual([code, message, rest], [error.code, error.rawMessage, {}]);
  const registry = createRegistry(ErrorDetailSchema);
  const unpacked = details.map((d) => anyUnpack(fromJson(AnySchema, d, { registry }), registry));
  assert.deepEqual(unpacked, error.findDetails(ErrorDetailSchema));
}

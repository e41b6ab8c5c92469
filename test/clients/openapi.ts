// A client of the types that openapi-typescript generates from Cloakroom's document. tsc --strict checks it, and openapi.test.mjs runs it.
import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

export type Session = components["schemas"]["Session"];

export function connect(baseUrl: string, key: string) {
  const client = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${key}` } });
  return {
    async create(userId: string): Promise<string> {
      const { data, error } = await client.POST("/v2/sessions", { body: { checks: { user: { userId } }, metadata: { cart: "NDI=" }, lifetime: "3600s" } });
      if (error) throw new Error(error.message);
      return data.sessionId;
    },
    async list(userId: string): Promise<{ total: string; sessions: Session[] }> {
      const { data, error } = await client.POST("/v2/sessions/search", { body: { query: { limit: 10 }, queries: [{ userIdQuery: { id: userId } }] } });
      if (error) throw new Error(error.message);
      return { total: data.details.totalResult, sessions: data.sessions };
    },
    async get(id: string): Promise<Session> {
      const { data, error, response } = await client.GET("/v2/sessions/{id}", { params: { path: { id }, header: { "Session-Consistency": "fresh" } } });
      if (error) throw new Error(`${response.status} ${error.code} ${error.message}`);
      return data.session;
    },
    async revoke(userId: string): Promise<string> {
      const { data } = await client.POST("/v2/sessions/revoke", { body: { queries: [{ userIdQuery: { id: userId } }] } });
      return data!.revoked;
    },
    // What the types must refuse.
    async wrong() {
      // @ts-expect-error: limit is a number
      await client.POST("/v2/sessions/search", { body: { query: { limit: "10" } } });
      // @ts-expect-error: there is no such route
      await client.GET("/v2/session/{id}", {});
      // @ts-expect-error: the ID is missing
      await client.GET("/v2/sessions/{id}", {});
    },
  };
}

import { createConnectTransport } from "@connectrpc/connect-node";
import { NewAuthorizationBearerInterceptor } from "@zitadel/client";
import { createSessionServiceClient } from "@zitadel/client/v2";

const { CLOAKROOM_URL, CLOAKROOM_KEY } = process.env; // http://127.0.0.1:8080, and a key of `cloakroom key new`
export const sessions = createSessionServiceClient(createConnectTransport({
  baseUrl: CLOAKROOM_URL, httpVersion: "1.1", useBinaryFormat: false,
  interceptors: [NewAuthorizationBearerInterceptor(CLOAKROOM_KEY)],
}));
const { sessionId } = await sessions.createSession({ checks: { user: { search: { case: "userId", value: "alice" } } } });
export const { session } = await sessions.getSession({ sessionId });

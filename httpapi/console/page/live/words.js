// Explains the words of the sidecar.

/** Why verify refuses: as in docs/verify.md. */
export const refusals = {
  missing: "The request had no token: often somebody who has not signed in yet.",
  malformed: "The token, or the request itself, cannot be read.",
  not_found: "No session has this token, or has it any more: it expired, or was deleted more than a day ago.",
  expired: "The session ended on its expiration date, a moment ago.",
  revoked: "The session was deleted in the last 24 hours, or the login that a JWT names has ended.",
  wrong_token: "The session lives, but has another token by now: often a tab that was open before.",
  invalid_jwt: "The JWT is not good: its signature, its audience or a claim.",
  predicate: "The session lives, but does not prove what the policy asks for, such as a second factor.",
  too_large: "The headers are larger than --max-header-bytes, or too many. Let the gateway refuse them.",
  store_unavailable: "Redis (or ZITADEL) did not answer in time, so nobody knows. Answered with 503.",
  issuer_unavailable: "The keys of the token's issuer are not known, or too old. Answered with 503.",
  overloaded: "More requests at a time than --max-in-flight allows. Answered with 503.",
  probe_limit: "More unknown tokens than ZITADEL may be asked about: somebody may make them up. Answered with 503.",
};

/** Those that are no judgement of a session: something is wrong here. */
export const faults = new Set(["store_unavailable", "issuer_unavailable", "overloaded", "probe_limit"]);

/** Classes of Redis errors: as in docs/runbook.md. */
export const redisErrors = {
  timeout: "Redis, or the way to it, is too slow.",
  network: "The connection broke, or could not be made.",
  canceled: "The caller gave up before the answer came.",
  script: "A script was not loaded yet: normal after a start of Redis. It is sent again.",
  pool: "No connection was free in time: too many requests, or Redis is slow.",
  no_master: "No server is proven to be the master.",
  maxclients: "Redis takes no more connections: raise maxclients.",
  readonly: "The server is a replica: a failover is not done.",
  loading: "Redis reads its file after a start.",
  full: "Redis is at maxmemory. Deletions still work.",
  busy: "Somebody's script runs for long.",
  denied: "The ACL of the Redis user lacks a command.",
  cluster: "A slot moves, or nobody serves it.",
  other: "The log has the text.",
};

/** Kinds of drift: as in docs/audit.md. */
export const drift = {
  session_unreadable: "A session cannot be read.",
  session_ttl: "A session's TTL is not that of its date.",
  card_missing: "A session has no card: it is never swept.",
  card_score: "A card has another date than its session.",
  card_stray: "A card is not the stored version's.",
  card_orphan: "A card has no session: totals are too high.",
  card_unreadable: "A card cannot be read.",
  entry_missing: "A session is not in a list: searches miss it.",
  entry_score: "A list has another date for a session.",
  entry_stray: "An entry is not the stored version's.",
  entry_orphan: "An entry has no session.",
  note_time: "A write across shards was cut off.",
  key_foreign: "A key like ours is where nobody looks.",
};

/** Kinds of copies in the near cache. */
export const copies = {
  session: "sessions, by ID",
  list: "lists of a user's sessions",
  token: "tokens that somebody else made",
  page: "pages of searches by user",
  end: "ends of logins that JWTs name",
};

/** Why there is no number of sessions. */
export const notAll = "This key does not see all sessions.";

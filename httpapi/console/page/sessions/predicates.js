// The predicates of a search: as they are typed, in a URL, and in a request.

import { parseDate } from "./dates.js";

/**
 * @typedef {{kind: string, op?: "lt"|"le"|"eq"|"ge"|"gt", value: string, fault?: string}} Predicate
 * value: an ID, or a date (RFC 3339)
 */

/** Each kind: its words on the screen, its parameter in a URL, and what else it may be called when it is typed. */
export const kinds = {
  user: { label: "user", param: "user", asks: "a user ID", also: [], once: true },
  device: { label: "device", param: "agent", asks: "the fingerprint of a user agent", also: ["agent", "fingerprint"], once: true },
  creator: { label: "creator", param: "creator", asks: "the user ID of the service that created it", also: [], once: true },
  id: { label: "ID", param: "id", asks: "a session ID; several find any of these", also: ["session"], once: false },
  created: { label: "created", param: "created", asks: "a date, or 2h for two hours ago", also: [], date: true, toward: -1 },
  expires: { label: "expires", param: "expires", asks: "a date, or 2h for in two hours", also: ["ends"], date: true, toward: 1 },
};

const methods = { lt: "LESS", le: "LESS_OR_EQUALS", eq: "EQUALS", ge: "GREATER_OR_EQUALS", gt: "GREATER" };
const words = { lt: "before", le: "until", eq: "at", ge: "from", gt: "after" };
const signs = { "<": "lt", "<=": "le", "=": "eq", ">=": "ge", ">": "gt", before: "lt", until: "le", at: "eq", from: "ge", since: "ge", after: "gt" };
const dated = /^(created|expires|ends)\s*:?\s*(<=|>=|<|>|=|before\b|until\b|at\b|from\b|since\b|after\b)?\s*(.*)$/is;
const named = /^([a-z]+)\s*:\s*(.*)$/is;

/** "created after"; "user". @param {Predicate} predicate */
export function nameOf(predicate) {
  const { label } = kinds[predicate.kind];
  return predicate.op ? `${label} ${words[predicate.op]}` : label;
}

/**
 * What was typed, as a predicate; null if it names none.
 * @param {string} typed
 * @param {number} now
 * @returns {Predicate|null}
 */
export function parseTyped(typed, now) {
  const text = typed.trim();
  const date = dated.exec(text);
  if (date) return typedDate(date, now);
  const [, name, value] = named.exec(text) ?? [];
  const kind = Object.keys(kinds).find((k) => k === name?.toLowerCase() || kinds[k].also.includes(name?.toLowerCase()));
  return kind ? checked({ kind, value: value.trim() }) : null;
}

function typedDate([, name, sign, rest], now) {
  const kind = name.toLowerCase() === "created" ? "created" : "expires";
  if (!sign) return { kind, op: "ge", value: rest, fault: `Say from or before: ${kind} > 2h, or ${kind} < 2026-12-01.` };
  const { date, fault } = parseDate(rest, now, kinds[kind].toward);
  return { kind, op: signs[sign.toLowerCase()], value: date ?? rest, fault };
}

function checked(predicate) {
  const { kind, value } = predicate;
  const max = kind === "id" ? 128 : 200;
  if (value === "") return { ...predicate, fault: `A value is missing: ${kinds[kind].asks}.` };
  if (value.length > max) return { ...predicate, fault: `At most ${max} characters; these are ${value.length}.` };
  return predicate;
}

/** A predicate as it would be typed, to be edited. @param {Predicate} predicate */
export function typedOf({ kind, op, value }) {
  const sign = Object.keys(signs).find((s) => signs[s] === op);
  return op ? `${kind} ${sign} ${value}` : `${kind}:${value}`;
}

/** The predicates with one more; it takes the place of one that can be there only once. */
export function withOne(predicates, added) {
  const same = (p) => p.kind === added.kind && p.op === added.op && (kinds[p.kind].once || kinds[p.kind].date || p.value === added.value);
  const at = predicates.findIndex(same);
  return at < 0 ? [...predicates, added] : predicates.with(at, added);
}

/** @param {URLSearchParams} params @returns {Predicate[]} those of a URL; what is wrong there has a fault */
export function fromParams(params) {
  const found = [];
  for (const [name, value] of params) {
    const kind = Object.keys(kinds).find((k) => kinds[k].param === name);
    if (!kind) continue;
    found.push(kinds[kind].date ? dateOfParam(kind, value) : checked({ kind, value }));
  }
  return found;
}

function dateOfParam(kind, value) {
  const [, op, date] = /^(lt|le|eq|ge|gt):(.*)$/s.exec(value) ?? [];
  if (!op) return { kind, op: "ge", value, fault: "The link is broken: lt, le, eq, ge or gt and a date belong here." };
  const { fault } = parseDate(date, 0, 1);
  return { kind, op, value: date, fault };
}

/** @param {Predicate[]} predicates @returns {URLSearchParams} */
export function toParams(predicates) {
  return new URLSearchParams(predicates.map((p) => [kinds[p.kind].param, p.op ? `${p.op}:${p.value}` : p.value]));
}

/** @param {Predicate[]} predicates @returns {object[]} `queries`, as the API takes them */
export function toQueries(predicates) {
  const ids = predicates.filter((p) => p.kind === "id").map((p) => p.value);
  const queries = predicates.filter((p) => p.kind !== "id").map(toQuery);
  return ids.length ? [{ idsQuery: { ids } }, ...queries] : queries;
}

function toQuery({ kind, op, value }) {
  const method = `TIMESTAMP_QUERY_METHOD_${methods[op]}`;
  switch (kind) {
    case "user": return { userIdQuery: { id: value } };
    case "device": return { userAgentQuery: { fingerprintId: value } };
    case "creator": return { creatorQuery: { id: value } };
    case "created": return { creationDateQuery: { creationDate: value, method } };
    default: return { expirationDateQuery: { expirationDate: value, method } };
  }
}

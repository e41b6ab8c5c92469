// The tables below the charts: what the charts add up, one by one.

import { el } from "../shell/dom.js";
import { bytes, count, percent, rate, seconds } from "./figures.js";
import { Routes } from "./routes.js";
import { Table } from "./table.js";
import { copies, drift, faults, redisErrors, refusals } from "./words.js";

const byTotal = (a, b) => Number(b.total) - Number(a.total);
const happened = (row) => Number(row.total) > 0;

/** @returns {{node: HTMLElement, update: (latest: object) => void}} */
export function tables() {
  const refused = new Table({
    title: "Refused verifies", empty: "No verify was refused since the process started.", key: (row) => row.reason,
    columns: [
      { head: "Reason", class: "words", cell: (row) => row.reason, note: (row) => refusals[row.reason], mark: (row) => (faults.has(row.reason) && row.rate > 0 ? "mono bad" : "mono") },
      { head: "per s", number: true, cell: (row) => rate(row.rate), mark: (row) => (faults.has(row.reason) && row.rate > 0 ? "bad" : dim(row.rate)) },
      { head: "Total", number: true, cell: (row) => count(row.total) },
    ],
  });
  const errors = new Table({
    title: "Redis errors", empty: "No round trip failed since the process started.", key: (row) => row.class,
    columns: [
      { head: "Class", class: "words", cell: (row) => row.class, note: (row) => redisErrors[row.class], mark: () => "mono" },
      { head: "per s", number: true, cell: (row) => rate(row.rate), mark: (row) => (row.rate > 0 ? "bad" : dim(0)) },
      { head: "Total", number: true, cell: (row) => count(row.total) },
    ],
  });
  const near = new Table({
    title: "Near cache", empty: "The near cache is off.", key: (row) => row.kind,
    columns: [
      { head: "Kind", class: "words", cell: (row) => row.kind, note: (row) => copies[row.kind], mark: () => "mono" },
      { head: "Hit rate", number: true, cell: (row) => percent(row.hitRate), mark: (row) => dim(row.hitRate) },
      { head: "Copies", number: true, cell: (row) => count(row.entries), mark: (row) => dim(row.entries) },
      { head: "Take", number: true, cell: (row) => bytes(row.bytes), mark: (row) => dim(row.bytes) },
    ],
  });
  const masters = new Table({
    title: "Links to masters", empty: "There are no links.", key: (row) => row.address,
    columns: [
      { head: "Master", class: "words", cell: (row) => row.address, mark: () => "mono" },
      { head: "Link", cell: (row) => (row.linked ? "up" : "lost"), mark: (row) => (row.linked ? "good" : "bad") },
      { head: "Proof", number: true, cell: (row) => seconds(row.proofAgeSeconds) },
      { head: "Lag", number: true, cell: (row) => seconds(row.lagSeconds) },
    ],
  });
  const flights = new Table({
    title: "In flight", empty: "Nothing is counted yet.", key: (row) => row.class,
    columns: [
      { head: "Class", class: "words", cell: (row) => row.class, mark: () => "mono" },
      { head: "At work", number: true, cell: (row) => count(row.now), mark: full },
      { head: "Limit", number: true, cell: (row) => count(row.limit) },
      { head: "Shed", number: true, cell: (row) => count(row.shed), mark: (row) => dim(row.shed) },
    ],
  });
  const audit = new Table({
    title: "Drift", empty: "", key: (row) => row.kind,
    columns: [
      { head: "Kind", class: "words", cell: (row) => row.kind, note: (row) => drift[row.kind], mark: () => "mono warn" },
      { head: "Found", number: true, cell: (row) => count(row.count), mark: () => "warn" },
    ],
  });
  const zitadel = new Table({
    title: "Calls of ZITADEL", empty: "ZITADEL was not called since the process started.", key: (row) => `${row.call} ${row.result}`,
    columns: [
      { head: "Call", class: "words", cell: (row) => row.call, mark: () => "mono" },
      { head: "Result", cell: (row) => row.result, mark: (row) => (row.result === "2xx" || Number(row.rate) === 0 ? "" : "bad") },
      { head: "per s", number: true, cell: (row) => rate(row.rate), mark: (row) => dim(row.rate) },
      { head: "Total", number: true, cell: (row) => count(row.total) },
    ],
  });
  zitadel.node.hidden = true;
  const routes = new Routes();
  return {
    node: el("div", { class: "tables" }, routes.node,
      el("div", null, refused.node, audit.node, zitadel.node),
      el("div", null, errors.node, flights.node, masters.node, near.node)),
    update(latest) {
      routes.update(latest.routes);
      const { near: cache, redis, drift: found, inFlight, zitadel: behind } = latest;
      refused.update(latest.refusals.filter(happened).sort(byTotal), "by reason");
      if (Number(found?.passes) > 0) audit.update(found.kinds.filter((kind) => Number(kind.count) > 0), `by the last of ${count(found.passes)} audits; ${count(found.looked)} looked at`, "Nothing was found.");
      else audit.update([], "", "Nobody has looked yet: no audit has ended.");
      errors.update(redis.errors.filter(happened).sort(byTotal), `by class; ${count(redis.pool.busy)} of ${count(redis.pool.busy + redis.pool.idle)} connections are busy`);
      flights.update(inFlight, "by class");
      masters.update(cache.on ? cache.masters : [], cache.on && Number(cache.linksLost) > 0 ? `lost ${count(cache.linksLost)} times` : "");
      near.update(cache.on ? cache.kinds : [], cache.state === "on" ? "by kind of copy" : cache.state);
      zitadel.node.hidden = behind === null;
      if (behind) zitadel.update(behind.calls, `${count(behind.inFlight)} in flight, ${count(behind.queued)} wait; news ${seconds(behind.newsAgeSeconds)} old`);
    },
  };
}

/** Nothing is there, so the eye may pass over it. */
function dim(n) {
  return Number(n) > 0 ? "" : "dim";
}

function full(row) {
  const share = row.limit > 0 ? row.now / row.limit : 0;
  return share >= 0.95 ? "bad" : share >= 0.75 ? "warn" : "";
}

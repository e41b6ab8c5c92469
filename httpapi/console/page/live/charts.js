// The charts of the live view, in the order of what to look at first.

import { Clock } from "../shell/clock.js";
import { relative } from "../shell/time.js";
import { bytes, count, millis, percent, rate, seconds, short } from "./figures.js";
import { notAll } from "./words.js";

const dashed = [5, 3];
const dotted = [1.5, 3];

const any = (n) => n > 0;
const counted = "per second";
const noRequests = () => "No requests in the last five minutes.";
const ofNear = (store) => (store.latest.near.on ? "No reads in the last five minutes." : "The near cache is off.");

/** @type {import("./chart.js").Spec[]} */
export const charts = [
  {
    title: "Requests", unit: counted, format: short, figure: sumOf("requests.2xx", "requests.3xx", "requests.4xx", "requests.5xx"), empty: noRequests,
    lines: [
      { series: "requests.2xx", label: "2xx", colour: "--series-1", area: true, format: rate },
      { series: "requests.3xx", label: "3xx", colour: "--series-2", dash: dashed, format: rate },
      { series: "requests.4xx", label: "4xx", colour: "--series-3", dash: dashed, strip: true, format: rate },
      { series: "requests.5xx", label: "5xx", colour: "--series-4", strip: true, alarm: any, format: rate },
    ],
  },
  {
    title: "Verifies", unit: counted, format: short, figure: sumOf("verify.passed", "verify.refused", "verify.unavailable"), empty: noRequests,
    lines: [
      { series: "verify.passed", label: "passed", colour: "--series-1", area: true, format: rate },
      { series: "verify.refused", label: "refused", colour: "--series-3", dash: dashed, strip: true, format: rate },
      { series: "verify.unavailable", label: "not known", colour: "--series-4", strip: true, alarm: any, format: rate },
    ],
  },
  {
    title: "Live sessions", unit: "", format: short, large: true, empty: (store) => (store.latest.sessions ? "Not counted yet." : notAll),
    figure: (store) => (store.latest.sessions?.known ? count(store.latest.sessions.live) : "–"),
    old: (store) => store.latest.sessions?.known && store.latest.sessions.error !== "" && `as of ${ago(store, store.latest.sessions.at)}`,
    lines: [
      { series: "sessions", label: "live", colour: "--series-2", area: true, format: count },
      { series: "ended", label: "swept per s", colour: "--series-5", strip: true, format: rate },
    ],
  },
  latency("Verify latency", "verify", noRequests),
  latency("API latency", "api", noRequests),
  {
    title: "Redis latency", unit: "of a round trip", format: millis, figure: newest("redis.p99", millis), empty: () => "No round trips in the last five minutes.",
    lines: [
      { series: "redis.p50", label: "p50", colour: "--series-2", dash: dotted },
      { series: "redis.p99", label: "p99", colour: "--series-1" },
    ],
  },
  {
    title: "Near cache", unit: "hit rate", format: percent, range: "share", figure: newest("near.hit_rate", percent), empty: ofNear,
    lines: [
      { series: "near.hit_rate", label: "hits", colour: "--series-1", area: true },
      { series: "near.bytes", label: "takes", colour: "--series-5", strip: true, format: bytes, axis: bytes },
    ],
  },
  {
    title: "Staleness", unit: "at most", format: seconds, range: "bound", figure: newest("near.proof_age", seconds), empty: ofNear,
    bound: (store) => store.latest.near.on ? { value: store.latest.near.boundSeconds, label: `bound ${seconds(store.latest.near.boundSeconds)}` } : null,
    lines: [
      { series: "near.proof_age", label: "proof is old", colour: "--series-1", area: true, alarm: (age, store) => age >= store.latest.near.boundSeconds },
      { series: "near.lag", label: "link lags", colour: "--series-2", dash: dashed },
    ],
  },
  {
    title: "Redis", unit: counted, format: short, figure: newest("redis.trips", rate), empty: () => "No round trips in the last five minutes.",
    lines: [
      { series: "redis.commands", label: "commands", colour: "--series-2", dash: dashed, format: rate },
      { series: "redis.trips", label: "round trips", colour: "--series-1", format: rate },
      { series: "redis.errors", label: "errors", colour: "--series-4", strip: true, alarm: any, format: rate },
    ],
  },
  {
    title: "In flight", unit: "at a time", format: short, figure: newest("in_flight", count), empty: noRequests,
    lines: [
      { series: "in_flight", label: "at work", colour: "--series-1", area: true, format: count },
      { series: "shed", label: "shed per s", colour: "--series-4", strip: true, alarm: any, format: rate },
    ],
  },
];

/** Only in front of a ZITADEL. @type {import("./chart.js").Spec} */
export const zitadelChart = {
  title: "ZITADEL", unit: "time of a call", format: millis, figure: newest("upstream.p99", millis), empty: () => "No calls in the last five minutes.",
  lines: [
    { series: "upstream.p99", label: "p99", colour: "--series-1", area: true },
    { series: "upstream.calls", label: "calls per s", colour: "--series-2", strip: true, format: rate },
  ],
};

function latency(title, of, empty) {
  return {
    title, unit: "over 10 s", format: millis, figure: newest(`${of}.p99`, millis), empty,
    lines: [
      { series: `${of}.p50`, label: "p50", colour: "--series-2", dash: dotted },
      { series: `${of}.p90`, label: "p90", colour: "--series-5", dash: dashed },
      { series: `${of}.p99`, label: "p99", colour: "--series-1" },
    ],
  };
}

function newest(series, format) {
  return (store) => format(store.newest(series));
}

function sumOf(...series) {
  return (store) => {
    const known = series.map((name) => store.newest(name)).filter((value) => value !== null);
    return rate(known.length ? known.reduce((a, b) => a + b) : null);
  };
}

function ago(store, date) {
  return relative(Date.parse(date), Clock.now(), true);
}

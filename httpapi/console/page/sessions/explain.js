// How a search was answered, for who asks why it is slow.

import { el, fill } from "../shell/dom.js";

const steps = {
  kept_page: "the page that the same search had before was still right",
  held_list: "the user's list was in the near cache",
  short_list: "the first 250 of each list were read",
  guessed: "the documents were read together with the list",
  given_ids: "the sessions with the given IDs were read",
  counted: "the candidates of every query were counted, to find the cheapest",
  ranked: "total and page came from counts and ranks",
  examined: "the documents of all candidates were read",
  refused: "there are too many candidates",
  nothing: "no session can match",
  anew: "the copies did not hold until the end, so the search began again without them",
};
const sources = [["copies", "copies here"], ["redis", "Redis"], ["replicas", "replicas"]];

/** Fills node with an explanation, or with what stands in its place without one. */
export function showExplain(node, explain) {
  if (!explain) {
    fill(node, el("p", { class: "soft" }, "This answer has no explanation."));
    return;
  }
  fill(node,
    el("div", { class: "how" },
      el("h2", null, "How it was answered"),
      el("p", { class: "plan" }, explain.plan),
      el("ol", null, (explain.steps ?? []).map((step) => el("li", { class: step === "refused" ? "bad" : null }, el("code", null, step), el("span", null, steps[step] ?? ""))))),
    el("dl", { class: "figures" },
      figure("Time", number(explain.microseconds), "µs"),
      figure("Round trips", number(explain.roundTrips), "to Redis"),
      candidates(explain),
      figure("Examined", number(explain.examined), "documents"),
      documents(explain.documents ?? {}),
      figure("Driver", explain.driver?.predicate ?? "none", explain.driver ? `lists: ${explain.driver.lists}` : ""),
      explain.costly ? figure("Waited", number(explain.costly.waitedMicroseconds), "µs for its turn") : null));
}

function figure(term, value, unit, extra) {
  return el("div", null, el("dt", null, term), el("dd", null, el("b", null, value), " ", el("span", { class: "faint small unit" }, unit), extra));
}

function candidates(explain) {
  const share = Math.min(1, Number(explain.candidates) / Number(explain.limit || 1));
  const bar = el("span", { class: share === 1 ? "share bad" : "share", style: { "--share": share } });
  return figure("Candidates", number(explain.candidates), `limit ${number(explain.limit)}`, bar);
}

function documents(from) {
  const all = sources.reduce((sum, [name]) => sum + Number(from[name] ?? 0), 0);
  return el("div", null, el("dt", null, "Documents"), el("dd", { class: "sources" },
    sources.map(([name, label]) => el("span", { class: all && Number(from[name]) ? null : "faint" }, el("b", null, number(from[name])), ` ${label}`))));
}

function number(value) {
  return Number(value ?? 0).toLocaleString("en");
}

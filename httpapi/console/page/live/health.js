// The health of every part, and what to do: what is wrong first.

import { el, fill, icon } from "../shell/dom.js";
import { me } from "../shell/me.js";
import { duration, timeNode } from "../shell/time.js";
import { glance } from "./glance.js";
import { write } from "./write.js";

const icons = { first: "clock", good: "tick", warn: "warn", bad: "stop", old: "wifi" };
const order = ["bad", "warn", "good"];
const reach = "See whether the process runs, and whether a port-forward to its admin listener has ended. This page comes back by itself.";

export class Health {
  #mark = el("span", { class: "mark" });
  #title = el("h2");
  #text = el("p");
  #verdict = el("div", { class: "glance" }, this.#mark, el("div", null, this.#title, this.#text));
  #parts = el("ul", { class: "parts" });
  #process = el("dl", { class: "process" });
  #shown = "";
  #from = "";

  node = el("aside", { class: "health", "aria-label": "Health" }, this.#verdict, this.#parts, this.#process);

  /** @param {import("./livepoll.js").LivePoll} poll */
  update(poll) {
    const { state, title, text, age } = glance(poll);
    if (this.#verdict.dataset.state !== state) {
      this.#verdict.dataset.state = state;
      fill(this.#mark, icon(icons[state]));
    }
    write(this.#title, title);
    write(this.#text, state === "old" ? `${age && `This picture is ${age} old. `}${reach}` : news(poll) || text);
    const { health, latest, startedAt } = poll.store;
    if (!latest) return;
    const seen = JSON.stringify(health);
    if (seen !== this.#shown) this.#list(health);
    this.#shown = seen;
    if (startedAt !== this.#from) this.#describe(latest.build, startedAt);
    this.#from = startedAt;
  }

  #list(health) {
    const sorted = order.flatMap((state) => health.filter((part) => part.state === state));
    fill(this.#parts, sorted.map(({ part, state, says, do: todo }) => el("li", { class: state },
      icon(icons[state]),
      el("div", null,
        el("b", null, part, el("span", { class: "unseen" }, ` is ${state}: `)), " ",
        el("span", { class: state === "good" ? "cut" : "wrap", title: state === "good" ? says : null }, says),
        todo && el("p", { class: "do" }, withCode(todo))))));
  }

  #describe(build, startedAt) {
    const row = (name, value) => value && [el("dt", null, name), el("dd", { class: "cut", title: typeof value === "string" ? value : null }, value)];
    fill(this.#process, row("Process", me().process), row("Started", timeNode(startedAt)), row("Version", build.version), row("Commit", build.commit), row("Go", build.go));
  }
}

/** What stands between backticks is a command. */
function withCode(text) {
  return text.split("`").map((part, i) => (i % 2 === 1 ? el("code", null, part) : part));
}

function news(poll) {
  if (!poll.news) return "";
  const { what, silence } = poll.news;
  if (what === "restarted") return "The sidecar was started again: the picture begins anew.";
  return `The sidecar answers again, after ${duration(silence, true)}.`;
}

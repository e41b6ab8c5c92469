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
  #shown = new Map(); // lines by part
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
    this.#list(health, Number(latest.drift?.passes ?? 0) === 0);
    if (startedAt !== this.#from) this.#describe(latest.build, startedAt);
    this.#from = startedAt;
  }

  /** Lines stay where they are and change only what has changed, so that advice can be read, selected and copied. */
  #list(health, unaudited) {
    for (const [part, line] of this.#shown) {
      if (health.some((of) => of.part === part)) continue;
      line.node.remove();
      this.#shown.delete(part);
    }
    const sorted = order.flatMap((state) => health.filter((part) => part.state === state));
    sorted.forEach((part, i) => {
      if (!this.#shown.has(part.part)) this.#shown.set(part.part, healthLine(part.part));
      const { node, update } = this.#shown.get(part.part);
      update(part, unaudited && part.part === "drift" ? "first" : part.state);
      if (this.#parts.children[i] !== node) this.#parts.insertBefore(node, this.#parts.children[i] ?? null);
    });
  }

  #describe(build, startedAt) {
    const row = (name, value) => value && [el("dt", null, name), el("dd", { class: "cut", title: typeof value === "string" ? value : null }, value)];
    fill(this.#process, row("Process", me().process), row("Started", timeNode(startedAt)), row("Version", build.version), row("Commit", build.commit), row("Go", build.go));
  }
}

/** The line of a part. @returns {{node: HTMLElement, update: (part: object, sign: string) => void}} sign: of `icons` */
function healthLine(name) {
  const mark = el("span", { class: "mark" });
  const is = el("span", { class: "unseen" });
  const text = el("span", { class: "says" });
  const todo = el("p", { class: "do" });
  const node = el("li", null, mark, el("div", null, el("b", null, name, is), " ", text, todo));
  let before = {};
  function update({ state, says, do: advice }, sign) {
    if (sign !== before.sign) fill(mark, icon(icons[sign]));
    if (state !== before.state) node.className = state;
    if (advice !== before.advice) fill(todo, withCode(advice));
    mark.dataset.sign = sign;
    todo.hidden = !advice;
    write(is, ` is ${state}: `);
    write(text, says);
    text.title = says;
    before = { sign, state, advice };
  }
  return { node, update };
}

/** Text between backticks is a command. */
function withCode(text) {
  return text.split("`").map((part, i) => (i % 2 === 1 ? el("code", null, part) : part));
}

function news(poll) {
  if (!poll.news) return "";
  const { what, silence } = poll.news;
  if (what === "restarted") return "The sidecar was started again: the picture begins anew.";
  return `The sidecar answers again, after ${duration(silence, true)}.`;
}

// The search box: chips for predicates, and a field in which the next one is typed.

import { Clock } from "../shell/clock.js";
import { el, fill, icon } from "../shell/dom.js";
import { announce, escaped, safeText } from "../shell/text.js";
import { utc } from "../shell/time.js";
import { kinds, nameOf, parseTyped, typedOf, withOne } from "./predicates.js";
import { suggestions } from "./suggestions.js";

/**
 * @param {(predicates: import("./predicates.js").Predicate[]) => void} changed
 * @returns {{node: HTMLElement, set: (predicates: object[]) => void, focus: () => void}}
 */
export function searchBox(changed) {
  let predicates = [];
  let edited = null; // the predicate that went back into the field to be changed, and its place: {predicate, at}

  const chips = el("span", { class: "chips", role: "list", "aria-label": "What is searched for" });
  const input = el("input", {
    class: "typed", type: "text", role: "combobox", "aria-expanded": "false", "aria-controls": "suggestions", "aria-autocomplete": "list",
    "aria-label": "Search sessions", "aria-describedby": "search-fault", autocomplete: "off", autocapitalize: "off", spellcheck: "false",
    oninput: suggest, onfocus: suggest, onblur: leave, onkeydown: key,
  });
  const fault = el("p", { id: "search-fault", class: "fault", role: "alert", hidden: true });
  const list = suggestions(input, pick);
  const node = el("div", { class: "searchbox", role: "search" },
    el("div", { class: "box", onclick: (event) => event.target === event.currentTarget && input.focus() }, icon("search"), chips, input, el("kbd", { "aria-hidden": "true" }, "/")),
    list.node, fault);

  function set(next) {
    predicates = next;
    fill(chips, predicates.map(chip));
    input.placeholder = predicates.length ? "" : "user:…  device:…  created > 2h  expires < 1d";
    const wrong = predicates.find((p) => p.fault);
    say(wrong ? `${nameOf(wrong)}: ${wrong.fault}` : "");
  }

  function chip(predicate, at) {
    const shown = predicate.op && !predicate.fault ? el("span", null, `${utc(Date.parse(predicate.value))} UTC`) : safeText(predicate.value, { max: 48 });
    const name = `${nameOf(predicate)} ${escaped(predicate.value.slice(0, 100))}`;
    return el("span", { class: predicate.fault ? "chip bad" : "chip", role: "listitem" },
      el("button", { type: "button", class: "edit", title: `${name}\nEnter edits, Delete removes`, onclick: () => edit(at), onkeydown: (event) => chipKey(event, at) },
        el("span", { class: "name" }, nameOf(predicate)), " ", shown, el("span", { class: "unseen" }, ": edit")),
      el("button", { type: "button", class: "remove", tabindex: "-1", "aria-label": `Remove ${name}`, onclick: () => remove(at) }, icon("close")));
  }

  function chipKey(event, at) {
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: predicates.length }[event.key];
    if (event.key === "Delete" || event.key === "Backspace") remove(at);
    else if (to === undefined) return;
    else focusChip(to);
    event.preventDefault();
  }

  function focusChip(at) {
    const chip = chips.children[Math.max(0, at)];
    (chip?.querySelector(".edit") ?? input).focus();
  }

  function edit(at) {
    const predicate = predicates[at];
    restore();
    edited = { predicate, at: predicates.indexOf(predicate) };
    input.value = typedOf(predicate);
    set(predicates.toSpliced(edited.at, 1));
    input.focus();
    suggest();
  }

  function remove(at) {
    announce(`Removed ${nameOf(predicates[at])}`);
    set(predicates.toSpliced(at, 1));
    focusChip(at < predicates.length ? at : predicates.length);
    changed(predicates);
  }

  function suggest() {
    list.show(input.value, Clock.now());
    say("");
  }

  function pick(text, complete) {
    input.value = text;
    if (complete) return enter();
    input.focus();
    suggest();
  }

  function enter() {
    const text = input.value.trim();
    if (text === "") return edited ? drop() : changed(predicates);
    const predicate = parseTyped(text, Clock.now());
    list.hide();
    if (!predicate) return say(`Say what it is: ${Object.keys(kinds).slice(0, 4).map((k) => `${k}:${text.slice(0, 20)}`).join(", ")}.`);
    if (predicate.fault) return say(predicate.fault);
    input.value = "";
    edited = null;
    set(withOne(predicates, predicate));
    changed(predicates);
  }

  /** Removes the predicate that was edited and is empty now. */
  function drop() {
    edited = null;
    list.hide();
    changed(predicates);
  }

  /** Who leaves the field in the middle of a change has the predicate back as it was. */
  function leave() {
    list.hide();
    restore();
  }

  function restore() {
    if (!edited) return;
    const { predicate, at } = edited;
    stopEdit();
    set(predicates.toSpliced(at, 0, predicate));
  }

  function stopEdit() {
    if (edited) input.value = "";
    edited = null;
  }

  /** Another search: what was edited belongs to the one before. */
  function show(next) {
    stopEdit();
    set(next);
  }

  function key(event) {
    const atStart = input.selectionStart === 0 && input.selectionEnd === 0;
    if (event.key === "Enter") list.picked() ? list.pickIt() : enter();
    else if (event.key === "ArrowDown") list.move(1);
    else if (event.key === "ArrowUp") list.move(-1);
    else if (event.key === "Tab" && !event.shiftKey && list.picked()) list.pickIt();
    else if (event.key === "Escape") list.shown() && input.value !== "" ? list.hide() : input.blur();
    else if (event.key === "Backspace" && atStart && predicates.length) edit(predicates.length - 1);
    else if (event.key === "ArrowLeft" && atStart && predicates.length) focusChip(predicates.length - 1);
    else return;
    event.preventDefault();
  }

  function say(text) {
    fault.hidden = text === "";
    fault.textContent = text;
    input.setAttribute("aria-invalid", text !== "");
  }

  set([]);
  return { node, set: show, focus: () => input.focus() };
}

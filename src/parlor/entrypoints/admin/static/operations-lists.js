// The lists of the operations page, with the buttons of their rows and those for all that a filter finds.
"use strict";

import { badge, count, el, moment, replace, span, td } from "./operations-draw.js";

const DEEDS = {
  retry: { label: "Retry", icon: "fa-rotate-right", of: "tasks" },
  cancel: { label: "Cancel", icon: "fa-ban", of: "tasks" },
  replay: { label: "Replay", icon: "fa-reply", of: "letters" },
  discard: { label: "Discard", icon: "fa-trash", of: "letters", warning: " What is discarded is gone for good." },
};

/** Show the tasks that failed last. `about`: the present moment, the bound of a bulk, and what does it. */
export function showFailed(list, kind, about) {
  const rows = list.lines.map((task) => el("tr", {},
    td(kindOf(task)),
    td(`${age(task.since, about)} ago`, { title: moment(task.since) }),
    td(`${task.attempts} of ${task.max_attempts}`),
    el("td", { class: "ops-text", title: task.message }, el("b", {}, task.code), ` ${task.message ?? ""}`),
    td(leadingTo("task", task.id)),
    el("td", { class: "ops-do" }, one("retry", task.id, "task", about))));
  show("failed", rows, list.more, ["retry"], { status: "failed", kind }, `failed task${ofKind(kind)}`, about);
}

/** Show tasks that have not ended, of the chosen status. */
export function showLive(list, { status, kind }, about) {
  const rows = list.lines.map((task) => el("tr", {},
    td(kindOf(task)),
    el("td", { title: moment(task.since) }, when(task, about), task.expired ? badge("lease expired") : null),
    td(`${task.attempts} of ${task.max_attempts}`),
    td(leadingTo("task", task.id)),
    el("td", { class: "ops-do" }, one("cancel", task.id, "task", about))));
  show("live", rows, list.more, ["cancel"], { status, kind }, `${status} task${ofKind(kind)}`, about);
}

/** Show the dead letters of the chosen reason that were not replayed. */
export function showLetters(list, { reason }, about) {
  const deeds = ["replay", "discard"];
  const rows = list.lines.map((letter) => el("tr", {},
    td(leadingTo("letter", letter.id, letter.reason)),
    td(`${age(letter.dead_at, about)} ago`, { title: moment(letter.dead_at) }),
    td(letter.detail, { class: "ops-text", title: `${letter.detail} (${letter.message_id ?? "without an id"})` }),
    el("td", { class: "ops-do" }, ...deeds.map((deed) => one(deed, letter.id, "dead letter", about)))));
  const which = `dead letter${reason ? ` with the reason “${reason}”` : ""}`;
  show("letters", rows, list.more, deeds, { reason }, which, about);
}

function show(list, rows, more, deeds, filter, which, about) {
  const cut = el("tr", {}, td(`The first ${rows.length}; there are more.`, { class: "ops-cut", colspan: 9 }));
  replace(document.getElementById(`ops-${list}`), more ? [...rows, cut] : rows);
  const none = document.getElementById(`ops-${list}-none`);
  none.hidden = rows.length > 0;
  none.textContent = `No ${which.replace(/task|letter/, "$&s")}.`;
  const bulk = rows.length ? deeds.map((deed) => all(deed, filter, which, about)) : [];
  replace(document.getElementById(`ops-${list}-bulk`), bulk);
}

function one(deed, id, called, { act }) {
  const { label, of, warning = "" } = DEEDS[deed];
  const asked = () => act(of, { action: deed, id }, `${label} the ${called} ${id}?${warning}`, label);
  return button(deed, label, asked, { "data-key": `${deed}-${id}`, ...said(`${label} ${called} ${id}`) });
}

function all(deed, filter, which, { act, most }) {
  const { label, of, warning = "" } = DEEDS[deed];
  const question = `${label} every ${which}? At most ${count(most)} are taken at once.${warning}`;
  const asked = () => act(of, { action: deed, all: "1", ...filter }, question, `${label} all`);
  return button(deed, `${label} all`, asked, { "data-key": `all-${deed}` });
}

function button(deed, label, click, attributes) {
  const icon = el("i", { class: `fa-solid ${DEEDS[deed].icon}`, "aria-hidden": "true" });
  return el("button", { type: "button", class: "btn btn-sm", click, ...attributes }, icon, el("span", {}, label));
}

function leadingTo(what, id, called = null) {
  const path = document.getElementById("operations").dataset[`${what}Page`].replace("ID", encodeURIComponent(id));
  return el("a", { href: path, title: id }, called ?? el("code", {}, `…${id.slice(-8)}`));
}

function when(task, about) {
  if (task.status !== "scheduled") return age(task.since, about);
  const left = seconds(about.now, task.since);
  return left > 0 ? `in ${span(left)}` : "due now";
}

const said = (text) => ({ "aria-label": text, title: text });
const kindOf = (task) => el("span", { class: "ops-kind" }, task.kind);
const ofKind = (kind) => (kind ? ` of the kind “${kind}”` : "");
const seconds = (from, to) => (new Date(to) - new Date(from)) / 1000;
const age = (since, { now }) => span(Math.max(seconds(since, now), 0));

// The numbers of the operations page: tiles, the hour in bars, the slowest kinds, and what waits.
"use strict";

import { OUTCOMES, count, drawMinutes, el, lengths, minute, total } from "./operations-draw.js";
import { replace, span, sparkline, td } from "./operations-draw.js";

const KINDS = 10;
const KEPT = 720; // an hour of readings
const LATE_S = 30;
const LONG_S = 60;
const CROWDED = 0.8;

const at = (id) => document.getElementById(`ops-${id}`);
const most = Number(document.getElementById("operations").dataset.mostCounted);
const past = { queued: [], running: [], unsent: [] };

/** Show what everybody sees alike. */
export function showGlance({ numbers, parts, queues }) {
  remember(numbers);
  replace(at("parts"), Object.entries(parts).map(([name, part]) => partOf(name, part)));
  replace(at("tiles"), tiles(numbers));
  showMinutes(numbers.minutes);
  showKinds(numbers.kinds);
  showWaiting(numbers, queues);
}

/** Draw the hour, as wide as there is room now. */
export function showMinutes(minutes) {
  for (const name of OUTCOMES) at(`total-${name}`).textContent = count(total(minutes, name));
  drawMinutes(at("ended"), minutes, (said) => { at("ended-now").textContent = said; });
  const rows = [...minutes].reverse().map((each) =>
    el("tr", {}, el("th", { scope: "row" }, minute(each.at)), ...OUTCOMES.map((name) => td(count(each[name])))));
  at("ended-rows").replaceChildren(...rows);
}

function remember({ live, outboxes }) {
  const now = { queued: live.queued, running: live.running, unsent: unsent(outboxes) };
  for (const [name, value] of Object.entries(now)) past[name] = [...past[name], value].slice(-KEPT);
}

function partOf(name, { status, detail }) {
  const dot = el("i", { "aria-hidden": "true" });
  const title = detail ?? `${name} answers`;
  return el("span", { class: `ops-part ops-part-${status}`, title }, dot, `${name} ${status}`);
}

function tiles(numbers) {
  return [...ofTasks(numbers), ofFailures(numbers), ofLetters(numbers), ofPeople(numbers), ofDatabase(numbers)];
}

function ofTasks({ live, outboxes }) {
  const late = Math.max(...Object.values(outboxes).map((each) => each.oldest_s ?? 0));
  const held = `${bounded(live.held_back)} held back, ${bounded(live.scheduled)} scheduled`;
  const leases = live.expired ? `${many(live.expired, "lease")} expired` : "every lease holds";
  const oldest = late ? `oldest waits ${span(late)}` : "nothing waits";
  return [
    tile("Queued", bounded(live.queued), held, false, past.queued),
    tile("Running", bounded(live.running), leases, live.expired > 0, past.running),
    tile("To be published", bounded(unsent(outboxes)), oldest, late > LATE_S, past.unsent),
  ];
}

function ofFailures({ minutes, lost }) {
  const failed = total(minutes, "failed");
  const ended = OUTCOMES.reduce((sum, name) => sum + total(minutes, name), 0);
  const told = `${percent(failed, ended)} of ${count(ended)}, ${count(lost)} by a lost worker`;
  return tile("Failed, last hour", count(failed), told, lost > 0);
}

function ofLetters({ letters, put_aside: aside }) {
  return tile("Dead letters", bounded(letters), `${many(aside, "outbox row")} put aside`, letters > 0 || aside > 0);
}

function ofPeople({ company: { users, sessions, messages, chats } }) {
  const told = `${many(sessions, "session")}; in 5 min ${many(messages, "message")} in ${many(chats, "chat")}`;
  return tile("People, last hour", bounded(users), told);
}

function ofDatabase({ database: { connections, most_connections: room, oldest_transaction_s: open } }) {
  const told = open ? `oldest transaction ${span(open)}` : "no transaction is open";
  const warns = open > LONG_S || connections > CROWDED * room;
  return tile("Connections", `${count(connections)} / ${count(room)}`, told, warns);
}

function tile(label, value, note, warns = false, line = []) {
  return el("div", { class: `card ops-tile${warns ? " ops-warns" : ""}` },
    el("div", { class: "ops-label" }, label, warns ? warning() : null),
    el("div", { class: "ops-value" }, value),
    el("div", { class: "ops-note" }, note),
    line.length > 1 ? sparkline(line) : null);
}

function warning() {
  return el("span", { class: "ops-mark" },
    el("i", { class: "fa-solid fa-triangle-exclamation", "aria-hidden": "true" }),
    el("span", { class: "visually-hidden" }, "needs a look"));
}

function showKinds(kinds) {
  const longest = Math.max(...kinds.map((kind) => kind.p95_s ?? 0), 0);
  const rows = kinds.slice(0, KINDS).map(({ kind, ended, failed, p50_s: half, p95_s: most95 }) => el("tr", {},
    el("th", { scope: "row" }, el("span", { class: "ops-kind" }, kind)),
    td(span(half)),
    td(span(most95)),
    td(lengths([["p50", half ?? 0], ["p95", (most95 ?? 0) - (half ?? 0)]], longest)),
    td(count(ended)),
    td(percent(failed, ended), { class: failed ? "ops-bad" : "" })));
  at("kinds").replaceChildren(...rows);
  at("kinds-none").hidden = kinds.length > 0;
}

function showWaiting({ unsent: byQueue, outboxes }, queues) {
  const ready = Object.values(queues);
  const inAll = ready.includes(null) ? null : ready.reduce((one, other) => one + other, 0);
  const drawn = [
    ...Object.keys(queues).map((queue) => ({ name: `${queue} tasks`, ready: queues[queue], rows: byQueue[queue] })),
    { name: "events", ...outboxes.events },
    { name: "replays", ...outboxes.replays },
  ];
  const longest = Math.max(...drawn.map((line) => (line.ready ?? 0) + line.rows));
  const sum = { name: "all tasks", ready: inAll, ...outboxes.tasks, undrawn: true };
  const lines = drawn.toSpliced(ready.length, 0, sum);
  at("waiting").replaceChildren(...lines.map((line) => waitingRow(line, longest)));
}

function waitingRow({ name, ready, rows, oldest_s: oldest, undrawn }, longest) {
  const told = ready === null ? "unknown" : ready === undefined ? "" : count(ready);
  return el("tr", {},
    el("th", { scope: "row" }, name),
    td(undrawn ? null : lengths([["ready", ready ?? 0], ["unsent", rows]], longest)),
    td(told),
    td(bounded(rows)),
    td(oldest === undefined ? "" : span(oldest)));
}

const unsent = (outboxes) => Object.values(outboxes).reduce((sum, each) => sum + each.rows, 0);
const percent = (part, whole) => `${whole ? ((100 * part) / whole).toFixed(1) : 0} %`;
const bounded = (number) => (number >= most ? `${count(most)}+` : count(number));
const many = (number, noun) => `${bounded(number)} ${noun}${number === 1 ? "" : "s"}`;

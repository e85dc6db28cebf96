// The operations page: asks for its numbers every five seconds while it is looked at, and does what its buttons say.
"use strict";

import { el } from "./operations-draw.js";
import { showFailed, showLetters, showLive } from "./operations-lists.js";
import { showGlance, showMinutes } from "./operations-show.js";

const EVERY_MS = 5000;
const PATIENCE_MS = 10000;
const LISTS = ["failed", "live", "letters"];
const REFUSALS = { 403: "you may not do this", 429: "too many requests", 503: "the database is away, or busy" };

const page = document.getElementById("operations");
const at = (id) => document.getElementById(`ops-${id}`);
const token = at("token").elements.csrf.value;
let timer = 0;
let asking = null;
let shown = null;

async function refresh() {
  clearTimeout(timer);
  asking?.abort();
  const mine = (asking = new AbortController());
  const signal = AbortSignal.any([mine.signal, AbortSignal.timeout(PATIENCE_MS)]);
  try {
    const answer = await ask(`${page.dataset.numbers}?${new URLSearchParams(filters())}`, { signal });
    show(await answer.json());
  } catch (error) {
    if (mine.signal.aborted) return;
    if (error.signedOut) return leave();
    fresh(`No new numbers: ${error.said ?? "the server does not answer"}. Trying again.`, "ops-stale");
  }
  if (asking === mine && !document.hidden) timer = setTimeout(refresh, EVERY_MS);
}

async function ask(url, options) {
  const answer = await fetch(url, { headers: { Accept: "application/json" }, ...options });
  if (answer.ok) return answer;
  const said = REFUSALS[answer.status] ?? `the server answered ${answer.status}`;
  throw Object.assign(new Error(said), { said, signedOut: answer.status === 401 });
}

function show(answer) {
  shown = answer;
  const { numbers } = answer.glance;
  const [filter, about] = [filters(), { now: numbers.at, most: Number(page.dataset.mostAtOnce), act }];
  fresh(`Live, ${new Date(numbers.at).toLocaleTimeString("en-GB")}`, "ops-live");
  showGlance(answer.glance);
  showFailed(answer.failed, filter.failed_kind, about);
  showLive(answer.live, filter, about);
  showLetters(answer.letters, filter, about);
}

function filters() {
  const fields = LISTS.flatMap((list) => [...new FormData(at(`${list}-filter`))]);
  return Object.fromEntries(fields.map(([name, value]) => [name, value.trim()]));
}

function fresh(text, tone) {
  at("fresh").className = `ops-fresh ${tone}`;
  at("fresh").textContent = text;
}

function leave() {
  fresh("You are signed out. ", "ops-stale");
  at("fresh").append(el("a", { href: page.dataset.login }, "Sign in"));
}

async function act(list, fields, question, label) {
  if (!(await confirmed(question, label))) return;
  const told = el("div", { class: "alert alert-info" }, "Working…");
  at("said").replaceChildren(told);
  try {
    const body = new URLSearchParams({ csrf: token, ...fields });
    const done = await (await ask(page.dataset[list], { method: "POST", body })).json();
    told.className = `alert ${done.refused ? "alert-danger" : "alert-success"}`;
    told.textContent = done.said;
  } catch (error) {
    if (error.signedOut) leave();
    told.className = "alert alert-danger";
    told.textContent = `This may not have been done: ${error.said ?? "the server does not answer"}.`;
  }
  await refresh();
}

function confirmed(question, label) {
  const dialog = at("confirm");
  at("question").textContent = question;
  at("yes").textContent = label;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

for (const form of LISTS.map((list) => at(`${list}-filter`))) {
  form.addEventListener("change", refresh);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    refresh();
  });
}
document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : refresh()));
new ResizeObserver(() => shown && showMinutes(shown.glance.numbers.minutes)).observe(at("ended"));
refresh();

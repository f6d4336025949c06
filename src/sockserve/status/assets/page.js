// The page: asks once a second, and shows what comes.

import { dress, each, h, say } from "/draw.js";
import { ServerView } from "/server.js";
import * as text from "/text.js";

const EVERY = 1000; // milliseconds
const PATIENCE = 5000;

const byId = (id) => document.getElementById(id);
const views = new Map();
let before = null;
let paused = false;
let asking = false;
let answered = null;

async function look() {
  if (asking || paused || document.hidden) return;
  asking = true;
  try {
    const response = await fetch("/status.json", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
    if (!response.ok) throw new Error(`it answered ${response.status}`);
    show(await response.json());
    answered = new Date();
    trouble("");
  } catch (error) {
    console.warn(error);
    trouble(`No answer${answered ? ` since ${answered.toLocaleTimeString()}` : ""}. Trying again every second.`);
  } finally {
    asking = false;
  }
}

function trouble(said) {
  const shown = byId("trouble");
  shown.hidden = !said;
  say(shown, said);
  document.body.classList.toggle("stale", Boolean(said));
}

function show(status) {
  if (before && (before.pid !== status.pid || before.watched_seconds > status.watched_seconds)) {
    before = null; // another process: what was counted before was not counted by it
    forget([]);
  }
  showProcess(status);
  forget(status.servers.map((server) => server.name));
  for (const server of status.servers) {
    if (!views.has(server.name)) {
      views.set(server.name, new ServerView());
      byId("servers").append(views.get(server.name).element);
    }
    views.get(server.name).show(server, status.watched_seconds);
  }
  const active = status.servers.reduce((sum, server) => sum + server.stats.active, 0);
  document.title = `${text.count(active)} in flight – sockserve`;
  before = status;
}

function forget(names) {
  for (const [name, view] of views) {
    if (names.includes(name)) continue;
    view.element.remove();
    views.delete(name);
  }
}

function showProcess(status) {
  const health = byId("health");
  dress(health, `pill ${status.health === "ok" ? "good" : "warn"}`);
  say(health, status.health);
  const passed = before ? status.watched_seconds - before.watched_seconds : 0;
  const facts = [
    ["process", String(status.pid)],
    ["CPU", passed > 0 ? text.percent((status.cpu_seconds - before.cpu_seconds) / passed) : "–"],
    ["memory", text.bytes(status.memory_bytes)],
    ["threads", text.count(status.threads)],
    ["watched for", text.since(status.watched_seconds)],
  ];
  each(byId("process"), facts, () => h("div", {}, h("dt"), h("dd")), (fact, [name, value]) => {
    say(fact.firstChild, name);
    say(fact.lastChild, value);
  });
  say(byId("version"), `sockserve ${status.sockserve}, Python ${status.python}`);
}

byId("pause").addEventListener("click", (event) => {
  paused = !paused;
  event.target.setAttribute("aria-pressed", String(paused));
  say(event.target, paused ? "Go on" : "Pause");
  look();
});
document.addEventListener("visibilitychange", look);
setInterval(look, EVERY);
look();

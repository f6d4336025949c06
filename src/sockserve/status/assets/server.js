// One server: its tiles, its charts, its requests, its events.

import { bars, dress, each, h, line, quantile, say } from "/draw.js";
import * as text from "/text.js";

const SPAN = 120; // seconds of the charts over time
const RECENT = 3; // seconds over which a rate is taken: long enough not to flicker

const HEALTHY = { serving: "good", draining: "warn", listening: "warn", closed: "bad" };
const BAD = new Set([
  "ChildDied",
  "HandlerFailed",
  "NotStarted",
  "RequestAbandoned",
  "VerifyFailed",
  "WorkerDied",
  "WorkerFailed",
]);
const WARN = new Set(["AcceptPaused", "ForkedBesideThreads", "HandlerSlow", "LimitReached", "RequestsAbandoned"]);
const WAITS = { readable: "data", writable: "room to send", "wake-up": "a wake-up", turn: "its turn" };
const USUAL = new Set(["Closed", "Drained", "Draining", "Listening"]); // the state tells

// Each column: its title, and how it looks.
const ROW_COLUMNS = [
  ["Peer", "w-peer"],
  ["State", "w-state"],
  ["Waits for", "w-what"],
  ["For", "number"],
  ["Time left", "number left"],
];
const WORKER_COLUMNS = [
  ["Worker", ""],
  ["Process", "w-what"],
  ["State", "w-state"],
  ["For", "number"],
  ["In flight", "number"],
  ["Accepted", "number less"],
  ["Failed", "number"],
];

const total = (found) => found.counts.reduce((sum, each) => sum + each, 0);

export class ServerView {
  constructor() {
    this.history = [];
    this.build();
  }

  build() {
    this.name = h("h2");
    this.state = h("span");
    this.full = h("span", { class: "pill warn" });
    this.about = h("p", { class: "about" });
    this.tiles = h("dl", { class: "tiles" });
    this.rate = panel("");
    this.turns = panel("How long the loop was held, a turn");
    this.durations = panel("How long requests took");
    this.workers = table("Workers", WORKER_COLUMNS);
    this.rows = table("In flight", ROW_COLUMNS);
    this.events = h("ul", { class: "events" });
    this.eventBlock = h("section", { class: "block" }, h("header", {}, h("h3", {}, "Events")), this.events);
    this.element = h(
      "section", { class: "server" },
      h("div", { class: "title" }, this.name, this.state, this.full), this.about, this.tiles,
      h("div", { class: "panels" }, this.rate.element, this.turns.element, this.durations.element),
      this.workers.element, this.rows.element, this.eventBlock,
    );
  }

  show(server, now) {
    this.remember(server, now);
    say(this.name, server.name);
    dress(this.state, `pill ${HEALTHY[server.state] ?? ""}`);
    say(this.state, server.state);
    this.full.hidden = !server.full;
    say(this.full, "full");
    this.full.title = "Nothing can be taken now: new clients wait in the kernel's queue.";
    if (this.strategy !== server.strategy) {
      this.strategy = server.strategy;
      const where = server.name.endsWith(server.address) ? [] : [h("code", {}, server.address), " · "];
      const { handler, strategy } = server;
      this.about.replaceChildren(...where, h("code", {}, handler), " under ", h("code", {}, strategy));
    }
    this.showTiles(server);
    this.showCharts(server, now);
    this.showWorkers(server.workers);
    this.showRows(server);
    this.showEvents(server.events);
  }

  remember(server, now) {
    const { accepted, finished, failed } = server.stats;
    const turns = server.turns ? total(server.turns) : null;
    if (this.history.at(-1)?.now === now) return;
    this.history.push({ now, accepted, ended: finished + failed, turns });
    while (this.history[0].now < now - SPAN - 2 * RECENT) this.history.shift();
  }

  // How fast a count has grown until the sample at this index; null where that cannot be known.
  speed(name, index = this.history.length - 1) {
    const last = this.history[index];
    let from = index;
    while (from > 0 && last.now - this.history[from].now < RECENT) from -= 1;
    const first = this.history[from];
    if (first === last || last[name] === null || first[name] === null) return null;
    return (last[name] - first[name]) / (last.now - first.now);
  }

  showTiles(server) {
    const { active, accepted, finished, failed, refused } = server.stats;
    const { queued, dropped } = server;
    const ill = (value, look) => (value ? look : "is-quiet");
    const tiles = [
      ["in flight", text.count(active), "", text.exact(active)],
      server.turns && ["turns / s", text.rate(this.speed("turns")), "", "How often requests went on, in the table"],
      ["accepted / s", text.rate(this.speed("accepted")), "", ""],
      ["accepted", text.count(accepted), "", text.exact(accepted)],
      ["finished", text.count(finished), "", text.exact(finished)],
      ["failed", text.count(failed), ill(failed, "is-bad"), "Ended by an error of the handler"],
      ["refused", text.count(refused), ill(refused, "is-warn"), "Turned away before any handler saw them"],
      queued !== null && ["queued", text.count(queued), ill(queued, "is-warn"), "Clients in the kernel's queue"],
      dropped !== null && ["dropped", text.count(dropped), ill(dropped, "is-bad"), "Datagrams without room"],
    ].filter(Boolean);
    each(this.tiles, tiles, () => h("div", {}, h("dt"), h("dd")), (tile, [name, value, look, title]) => {
      say(tile.firstChild, name);
      say(tile.lastChild, value);
      dress(tile, look);
      tile.title = title;
    });
  }

  showCharts(server, now) {
    const counted = server.turns ? "turns" : "ended";
    say(this.rate.heading, server.turns ? "Turns per second" : "Requests ended per second");
    const every = this.history.map((sample, index) => [now - sample.now, this.speed(counted, index)]);
    const points = every.filter(([ago]) => ago <= SPAN);
    line(this.rate.chart, points, SPAN, text.rate, this.rate.heading.textContent);
    const known = points.map(([, value]) => value).filter((value) => value !== null);
    const ends = known.length ? [known.at(-1), Math.max(...known)] : [null, null];
    const [current, most] = ends.map(text.rate);
    this.rate.text.replaceChildren("now ", h("b", {}, current), ", most ", h("b", {}, most));
    this.rate.element.title = server.turns ? "A turn: a request goes on, until it waits again." : "";
    this.turns.element.hidden = !server.turns;
    if (server.turns) showDistribution(this.turns, server.turns, "turns");
    showDistribution(this.durations, server.durations, "requests");
  }

  showWorkers(workers) {
    this.workers.element.hidden = !workers.length;
    each(this.workers.body, workers, this.workers.row, (row, worker) => {
      const { number, pid, state, seconds } = worker;
      const { active, accepted, failed } = worker.stats;
      const [slot, process, how, age, ...counts] = row.children;
      say(slot, String(number));
      say(process, String(pid));
      showState(how, state);
      say(age, seconds === null ? "" : text.since(seconds));
      [active, accepted, failed].forEach((value, index) => say(counts[index], text.exact(value)));
    });
  }

  showRows(server) {
    const { rows, rows_left_out: more } = server;
    this.rows.element.hidden = server.workers.length > 0;
    const shown = more ? `the ${rows.length} longest, of ${text.exact(rows.length + more)}` : "";
    say(this.rows.note, shown || (rows.length > 1 ? `${rows.length}, the longest first` : ""));
    const why = server.state === "serving" ? "." : `: the server is ${server.state}.`;
    say(this.rows.none, `Nobody is being served${why}`);
    this.rows.none.hidden = rows.length > 0;
    this.rows.table.hidden = rows.length === 0;
    this.rows.table.classList.toggle("unlimited", rows.every((row) => row.seconds_left === null));
    each(this.rows.body, rows, this.rows.row, (row, request) => {
      const { peer, state, waiting_for: waits, seconds, seconds_left: left } = request;
      const [cell, , what, age, end] = row.children;
      dress(cell, "name w-peer");
      cell.title = peer;
      say(cell, peer);
      showState(row.children[1], state);
      say(what, WAITS[waits] ?? waits);
      say(age, seconds === null ? "" : text.since(seconds));
      say(end, left === null ? "" : text.since(left));
    });
  }

  showEvents(events) {
    const found = Object.entries(events).filter(([name]) => !USUAL.has(name));
    found.sort(([a], [b]) => a.localeCompare(b));
    this.eventBlock.hidden = !found.length;
    each(this.events, found, () => h("li", {}, h("span"), h("b")), (item, [name, count]) => {
      dress(item, BAD.has(name) ? "bad" : WARN.has(name) ? "warn" : "");
      say(item.firstChild, name);
      say(item.lastChild, text.exact(count));
    });
  }
}

function panel(title) {
  const heading = h("h3", {}, title);
  const note = h("span");
  const words = h("p");
  const chart = h("div", { class: "chart" });
  const element = h("section", { class: "panel" }, h("header", {}, heading, note), words, chart);
  return { element, heading, note, text: words, chart };
}

function table(title, columns) {
  const note = h("span");
  const none = h("p", { class: "none" });
  const body = h("tbody");
  const head = h("tr", {}, ...columns.map(([name, look]) => h("th", { scope: "col", class: look }, name)));
  const whole = h("table", { "aria-label": title }, h("thead", {}, head), body);
  const row = () => h("tr", {}, ...columns.map(([, look]) => h("td", { class: look })));
  const scroll = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": title }, whole);
  const element = h("section", { class: "block" }, h("header", {}, h("h3", {}, title), note), none, scroll);
  return { element, note, none, body, row, table: scroll };
}

function showState(cell, state) {
  if (!cell.firstChild) cell.append(h("span"));
  dress(cell.firstChild, `state ${state}`);
  say(cell.firstChild, state);
}

function showDistribution(panel, found, what) {
  const all = total(found);
  say(panel.note, all ? `${text.count(all)} ${what}` : "");
  bars(panel.chart, found, text.took, what);
  if (!all) {
    panel.text.replaceChildren();
    return;
  }
  const upTo = (part) => {
    const end = quantile(found, part);
    return end === Infinity ? `over ${text.took(found.bounds.at(-1))}` : `≤ ${text.took(end)}`;
  };
  const facts = [["half ", upTo(0.5)], [", 99 % ", upTo(0.99)], [", mean ", text.took(found.total / all)]];
  panel.text.replaceChildren(...facts.flatMap(([name, value]) => [name, h("b", {}, value)]));
}

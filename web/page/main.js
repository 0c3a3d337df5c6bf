/** Puts the page together, and follows its addresses: `/`, `/chart/<symbol>/<interval>`, `/status`. */

import { ChartPage } from "./chart-page.js";
import { Connection } from "./connection.js";
import { $, mark, say } from "./dom.js";
import { INTERVALS } from "./intervals.js";
import { listen } from "./keys.js";
import { List } from "./list.js";
import { Market } from "./market.js";
import { get, onChange, put } from "./preferences.js";
import { addressOf } from "./row.js";
import { addSettings, follow, switchTheme } from "./settings.js";
import { StatusPage } from "./status-page.js";
import { inLanguage, otherLanguage, LANGUAGES, switchLanguage, t, translate } from "./text.js";

const LIST_WAITS_MS = 400;
const root = document.documentElement;
const connection = new Connection();
const market = new Market(connection);
const list = new List(market, { open: (symbol) => go(addressOf(symbol, interval())), interval });
const chartPage = new ChartPage(market, connection, {
  choose: (chosen) => go(addressOf(chartPage.symbol ?? symbol(), chosen), true),
  search,
  star: () => chartPage.symbol && list.toggleFavourite(chartPage.symbol),
});
const statusPage = new StatusPage();
const showSettings = addSettings();
let stepTimer = 0;
let awaitsBusiest = false;

function interval() {
  const kept = get("interval");
  return INTERVALS.includes(kept) ? kept : "1h";
}

/** The symbol that was looked at last, or else the busiest. */
function symbol() {
  const kept = get("symbol");
  if (kept && (market.rows.has(kept) || !market.rows.size)) return kept;
  const rows = [...market.rows.values()].sort((one, other) => other.numbers.quote_volume - one.numbers.quote_volume);
  return rows[0]?.symbol ?? "BTCUSDT";
}

function go(address, replacing = false) {
  if (address !== location.pathname) history[replacing ? "replaceState" : "pushState"](null, "", address);
  return show();
}

/** Show what the address names; gives what ends when a chart has its first bars. */
function show() {
  const [view, name, length] = location.pathname.split("/").slice(1).map(decoded);
  const shown = view === "chart" || view === "status" ? view : "markets";
  awaitsBusiest = shown === "chart" && !name && !market.rows.size && !get("symbol");
  if (shown === "chart" && !(name && length) && !awaitsBusiest) {
    return go(addressOf(name || symbol(), interval()), true);
  }
  mark(root, "view", shown);
  for (const link of document.querySelectorAll("nav [data-for]")) {
    if (link.dataset.for === shown) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  statusPage.isShown = shown === "status";
  if (shown === "chart" && !awaitsBusiest) return openChart(upper(name), length);
  chartPage.close();
  if (awaitsBusiest) chartPage.tell(market.whyEmpty());
  list.current = null;
  document.title = `${t(shown)} · Barkeep`;
}

function openChart(name, length) {
  if (INTERVALS.includes(length)) {
    put("symbol", name);
    put("interval", length);
  }
  list.current = name;
  return chartPage.open(name, length);
}

const upper = (name) => name.replace(/[a-z]/g, (letter) => letter.toUpperCase());

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function search() {
  if (root.dataset.view === "status" || !$("search").offsetParent) go("/");
  list.search();
}

/** In the chart the next symbol opens, a moment after the last key; in the list it is only marked. */
function step(by) {
  if (root.dataset.view === "status") return false;
  const next = list.step(by);
  if (root.dataset.view === "chart" && next) {
    clearTimeout(stepTimer);
    stepTimer = setTimeout(() => go(addressOf(next, chartPage.interval ?? interval()), true), 120);
  }
  return true;
}

const inChart =
  (act) =>
  (...values) =>
    root.dataset.view === "chart" ? act(...values) : false;

listen({
  search,
  step,
  help: showSettings,
  theme: switchTheme,
  openMarked: () => (list.marked ? go(addressOf(list.marked, interval())) : false),
  interval: inChart((chosen) => go(addressOf(chartPage.symbol ?? symbol(), chosen), true)),
  pan: inChart((bars) => chartPage.pan(bars)),
  zoom: inChart((factor) => chartPage.zoom(factor)),
  newest: inChart(() => chartPage.newest()),
  log: inChart(() => chartPage.toggleLog()),
  favourite: () => {
    const chosen = root.dataset.view === "chart" ? chartPage.symbol : list.marked;
    return chosen ? list.toggleFavourite(chosen) : false;
  },
  markets: () => go("/"),
  status: () => go("/status"),
});

market.onRows(() => {
  if (awaitsBusiest) show();
});
addEventListener("popstate", show);
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-nav]");
  if (
    !link ||
    event.defaultPrevented ||
    event.button ||
    event.ctrlKey ||
    event.metaKey ||
    event.shiftKey ||
    event.altKey
  )
    return;
  event.preventDefault();
  go(link.getAttribute("href"));
});
$("help").addEventListener("click", showSettings);
$("theme").addEventListener("click", switchTheme);
$("language").addEventListener("click", switchLanguage);
follow(onChange);
translate();

const showConnection = () => {
  const silentS = Math.round((performance.now() - connection.silentSince) / 1000);
  mark($("connection"), "state", connection.state);
  say($("connection").querySelector("span"), t(`state_${connection.state}`));
  say($("connection").querySelector("small"), connection.state === "stale" ? `${silentS} s` : "");
  $("connection").title = t(`stateTitle_${connection.state}`, { seconds: silentS });
};
connection.onState(showConnection);
inLanguage(() => {
  say($("language"), LANGUAGES[otherLanguage()] === "中文" ? "中" : "EN");
  $("language").title = LANGUAGES[otherLanguage()];
  showConnection();
  if (root.dataset.view !== "chart") document.title = `${t(root.dataset.view)} · Barkeep`;
});

connection.open();
Promise.race([
  show(),
  new Promise((resolve) => {
    setTimeout(resolve, LIST_WAITS_MS);
  }),
]).then(() => market.start());

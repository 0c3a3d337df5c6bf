/** The status page's cards, made from `/api/status`. What it does not say is shown as a dash. */

import { h } from "./dom.js";
import { bytes, count } from "./numbers.js";
import { reasonText } from "./spans.js";
import { hasText, t } from "./text.js";
import { clock, date, left } from "./times.js";

const CARDS = [service, market, backfill, verified, reasons, database, feeds];

export const cardsOf = (status) => CARDS.map((make) => make(status));

function service({ state, reason, version, started_at: started, exchange_time: now, lag_ms: lag, restarts }) {
  return card(
    "service",
    null,
    h(
      "p",
      { className: "state-line", "data-state": state ?? "unknown" },
      h("i"),
      h("b", { textContent: t(hasState(state) ? `service_${state}` : "service_unknown") }),
    ),
    reason ? h("p", { className: "hint", textContent: reason }) : null,
    facts([
      ["exchangeTime", now ? `${date(now, false)} ${clock(now, false, true)} UTC` : "–"],
      ["lag", lag === null || lag === undefined ? "–" : `${count(lag)} ms`, "", lag > 5000],
      ["uptime", started ? left(Date.now() - started) : "–"],
      ["restarts", count(restarts ?? 0), "", restarts > 0],
      ["version", version ?? "–"],
    ]),
  );
}

function market({ symbols = {}, garbage }) {
  const missing = symbols.missing ?? [];
  return card(
    "market",
    null,
    facts([
      ["symbolsTotal", number(symbols.total)],
      ["symbolsLive", number(symbols.live)],
      ["symbolsLate", number(symbols.late), "", symbols.late > 0],
      ["symbolsEnded", number(symbols.ended)],
      ["symbolsMissing", missing.slice(0, 5).join(", ") || "0", "", missing.length > 0],
      ["garbage", number(garbage), "", garbage > 0],
    ]),
  );
}

function backfill({ state: service, backfill: state = {}, gaps }) {
  const [done, waiting] = [state.pages_done ?? 0, state.pages_left ?? 0];
  const part = done + waiting ? done / (done + waiting) : Number(service !== "starting");
  return card(
    "backfill",
    waiting ? `${Math.floor(part * 100)}%` : part ? t("complete") : "–",
    bar(part, "backfill"),
    facts([
      ["pagesDone", count(done)],
      ["pagesLeft", count(waiting)],
      ["openGaps", number(gaps)],
      ["weight", state.weight_allowed ? `${count(state.weight_used)} / ${count(state.weight_allowed)}` : "–"],
      state.unreachable ? ["unreachableSince", state.unreachable, "", true] : null,
    ]),
  );
}

function verified({ verified: state = {} }) {
  const share = state.share ?? 0;
  return card(
    "verified",
    state.share === undefined ? "–" : `${(Math.floor(share * 10000) / 100).toFixed(2)}%`,
    bar(share, "verified"),
    facts([
      ["unverifiedCount", number(state.unverified)],
      ["compared", number(state.compared)],
      ["differed", number(state.differed), "", state.differed > 0],
      ["missingBars", number(state.missing), "", state.missing > 0],
      ["extraBars", number(state.extra), "", state.extra > 0],
    ]),
  );
}

function reasons({ gaps_by_reason: byReason = {} }) {
  const found = Object.entries(byReason)
    .filter(([, number]) => number)
    .sort(([, one], [, other]) => other - one);
  const most = Math.max(1, ...found.map(([, number]) => number));
  const total = found.reduce((sum, [, number]) => sum + number, 0);
  const lines = found.map(([reason, number]) =>
    h(
      "div",
      { className: "share" },
      h("span", { textContent: reasonText(reason) }),
      bar(number / most, "plain"),
      h("b", { textContent: count(number) }),
    ),
  );
  return card(
    "gapsByReason",
    count(total),
    lines.length ? lines : h("p", { className: "hint", textContent: t("noGaps") }),
  );
}

function database({ database: state = {} }) {
  return card(
    "database",
    state.size_bytes ? bytes(state.size_bytes) : "–",
    facts([
      [
        "growth",
        state.growth_bytes_per_day === null || state.growth_bytes_per_day === undefined
          ? "–"
          : t("perDay", { size: bytes(state.growth_bytes_per_day) }),
      ],
      ["barsWritten", number(state.bars_written)],
      ["barsWaiting", number(state.waiting)],
      ["lastCommit", state.last_commit ? `${clock(state.last_commit, undefined, true)}` : "–"],
      state.failing ? ["failing", state.failing, "", true] : null,
      ["path", state.path ?? "–", "path"],
    ]),
  );
}

function feeds({ feeds: list = [] }) {
  const columns = ["name", "state", "streams", "proved", "frames", "reconnects", "garbage"];
  const cell = (feed, column) =>
    column === "state"
      ? h(
          "td",
          {},
          h("span", { className: "dot", "data-state": feed.state }),
          h("span", { textContent: hasText(`service_${feed.state}`) ? t(`service_${feed.state}`) : feed.state }),
        )
      : h("td", {
          className: column === "name" ? "" : "number",
          textContent: column === "name" ? feed.name : number(feed[column]),
        });
  return card(
    "feeds",
    count(list.length),
    h(
      "div",
      { className: "scroll" },
      h(
        "table",
        {},
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            ...columns.map((column) =>
              h("th", {
                className: column === "name" || column === "state" ? "" : "number",
                scope: "col",
                textContent: t(`feed_${column}`),
              }),
            ),
          ),
        ),
        h("tbody", {}, ...list.map((feed) => h("tr", {}, ...columns.map((column) => cell(feed, column))))),
      ),
    ),
    "wide",
  );
}

function card(name, value, ...children) {
  const width = children.at(-1) === "wide" ? children.pop() : "";
  return h(
    "section",
    { className: `card ${width}`, "data-card": name },
    h("h2", {}, h("span", { textContent: t(`card_${name}`) }), value === null ? null : h("b", { textContent: value })),
    ...children,
  );
}

function facts(rows) {
  return h(
    "dl",
    {},
    ...rows
      .filter(Boolean)
      .map(([name, value, className = "", isBad = false]) =>
        h(
          "div",
          {},
          h("dt", { textContent: t(`status_${name}`) }),
          h("dd", { className: isBad ? "bad" : className, title: value, textContent: value }),
        ),
      ),
  );
}

function bar(part, kind) {
  const filled = h("i");
  filled.style.width = `${Math.max(0, Math.min(1, part)) * 100}%`;
  return h(
    "div",
    {
      className: "bar",
      "data-kind": kind,
      role: "progressbar",
      "aria-valuemin": "0",
      "aria-valuemax": "100",
      "aria-valuenow": Math.round(part * 100),
      "aria-label": t(`bar_${kind}`),
    },
    filled,
  );
}

const number = (value) => (typeof value === "number" ? count(value) : "–");
const hasState = (state) => ["live", "starting", "degraded", "stopped"].includes(state);

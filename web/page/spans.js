/** What is shaded in a chart, and why: spans without bars, pauses of the exchange, bars that were not compared yet. */

import { spanOf, storedSource } from "./intervals.js";
import { hasText, t } from "./text.js";
import { moment } from "./times.js";

const PAUSE = "exchange pause";
const CALM = new Set([PAUSE, "no trades", "not listed yet", "delisted", "relisted"]);

/**
 * Spans `{from, to, kind, text()}`, half-open, of a symbol's gaps as `/api/gaps` tells them, for one interval.
 * Pauses are told of minutes only; they count where they make up a good part of a bar.
 */
export function gapSpans(gaps, interval) {
  const matters = (gap) =>
    gap.interval === storedSource(interval) || (gap.reason === PAUSE && (gap.to - gap.from) * 4 >= spanOf(interval));
  return gaps.filter(matters).map((gap) => ({
    from: gap.from,
    to: gap.to,
    kind: CALM.has(gap.reason) ? "pause" : "gap",
    text: () => wordsOf(gap),
  }));
}

function wordsOf({ reason, state }) {
  const says = state !== "explained" && state !== reason;
  return says ? `${reasonText(reason)} · ${reasonText(state)}` : reasonText(reason);
}

/** Runs of closed bars that were not compared with the exchange. */
export function unverifiedSpans(list) {
  const spans = [];
  for (const bar of list) {
    if (!bar.closed || bar.verified) continue;
    const last = spans.at(-1);
    if (last?.to === bar.open) last.to = bar.close + 1;
    else spans.push({ from: bar.open, to: bar.close + 1, kind: "unverified", text: () => t("unverified") });
  }
  return spans;
}

/** The spans at one time, what matters most first, in words. */
export function reasonsAt(spans, from, to) {
  return spans
    .filter((span) => span.from < to && from < span.to)
    .map((span) => ({
      kind: span.kind,
      text: span.kind === "unverified" ? span.text() : `${span.text()} · ${moment(span.from)} – ${moment(span.to)}`,
    }));
}

/** The service's word for a reason, in the reader's language where it is known there. */
export function reasonText(reason) {
  const key = `reason_${reason.replaceAll(" ", "_")}`;
  return hasText(key) ? t(key) : reason;
}

/** What is shaded in a chart, and why: spans without bars, pauses of the exchange, bars that were not compared yet. */

import { isToBeCompared } from "./bars.js";
import { spanOf, storedSource } from "./intervals.js";
import { hasText, t } from "./text.js";
import { moment } from "./times.js";

const PAUSE = "exchange pause";
const CALM = new Set([PAUSE, "no trades", "not listed yet", "delisted", "relisted"]);

/**
 * Spans `{from, to, kind, text()}`, half-open, of a symbol's gaps as `/api/gaps` tells them, for one interval.
 * A pause is told of every interval that has whole bars in it: those of other intervals count where they make up a good
 * part of a bar, and each pause is shaded once.
 */
export function gapSpans(gaps, interval) {
  const isOwn = (gap) => gap.interval === storedSource(interval);
  const isLong = (gap) => (gap.to - gap.from) * 4 >= spanOf(interval);
  const holes = gaps.filter((gap) => gap.reason !== PAUSE && isOwn(gap));
  const pauses = gaps.filter((gap) => gap.reason === PAUSE && (isOwn(gap) || isLong(gap)));
  return [...holes, ...merged(pauses)].map((gap) => ({
    from: gap.from,
    to: gap.to,
    kind: CALM.has(gap.reason) ? "pause" : "gap",
    text: () => wordsOf(gap),
  }));
}

/** The same gaps, ascending, those that touch or overlap as one. */
function merged(gaps) {
  const whole = [];
  for (const gap of [...gaps].sort((one, other) => one.from - other.from)) {
    const last = whole.at(-1);
    if (last && gap.from <= last.to) last.to = Math.max(last.to, gap.to);
    else whole.push({ ...gap });
  }
  return whole;
}

function wordsOf({ reason, state }) {
  const says = state !== "explained" && state !== reason;
  return says ? `${reasonText(reason)} · ${reasonText(state)}` : reasonText(reason);
}

/**
 * Runs of closed bars that the exchange has still to be asked about. Those that were made here never are: their minutes are,
 * and they follow these.
 */
export function unverifiedSpans(list) {
  const spans = [];
  for (const bar of list) {
    if (!isToBeCompared(bar)) continue;
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

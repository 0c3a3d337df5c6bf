/** Intervals, and where their bars begin. Times are milliseconds UTC, as everywhere here. */

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const SPANS = {
  "1m": MINUTE,
  "3m": 3 * MINUTE,
  "5m": 5 * MINUTE,
  "15m": 15 * MINUTE,
  "30m": 30 * MINUTE,
  "1h": HOUR,
  "2h": 2 * HOUR,
  "4h": 4 * HOUR,
  "6h": 6 * HOUR,
  "8h": 8 * HOUR,
  "12h": 12 * HOUR,
  "1d": DAY,
  "1w": 7 * DAY,
  "1M": 28 * DAY,
};
const STORED = ["1m", "5m", "30m", "4h", "1d", "1w"];

export const INTERVALS = Object.keys(SPANS);
/** The keys 1 to 9. */
export const BY_KEY = ["1m", "5m", "15m", "30m", "1h", "4h", "1d", "1w", "1M"];

export const spanOf = (interval) => SPANS[interval];

/** The open time of the bar after the one that opens at `open`. */
export function nextOpen(interval, open) {
  if (interval !== "1M") return open + SPANS[interval];
  const date = new Date(open);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1);
}

/** The stored interval that bars of `interval` are made of: of that one gaps are told. */
export function storedSource(interval) {
  if (interval === "1M") return "1d";
  return STORED.findLast((stored) => SPANS[interval] % SPANS[stored] === 0);
}

/** Whether the time of day matters for bars of this length. */
export const isIntraday = (interval) => interval !== "1M" && SPANS[interval] < DAY;

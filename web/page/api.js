/** What is asked of the service. */

const started = window.barkeepStarted ?? new Map();
export const PAGE = 500;
const INCOMPLETE = "X-Barkeep-Incomplete";

/** The service refused, or cannot be reached: `code` is its own, or `unreachable`. */
export class Refused extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

export const get = async (address, signal) => (await answer(address, signal)).body;

/**
 * Bars, oldest first, as plain objects with exact text, and why some are missing, or null.
 * Without `start` the newest `limit` up to `end`; both are inclusive.
 */
export async function klines(symbol, interval, { start, end, limit = PAGE } = {}, signal) {
  const [name, length] = [symbol, interval].map(encodeURIComponent);
  let address = `/api/klines?symbol=${name}&interval=${length}&limit=${limit}`; // as early.js writes it
  if (start !== undefined) address += `&start=${start}`;
  if (end !== undefined) address += `&end=${end}`;
  const { body, headers } = await answer(address, signal);
  return { bars: body.klines.map(bar), incomplete: headers.get(INCOMPLETE) };
}

export const overview = (closes) => get(closes ? "/api/overview" : "/api/overview?closes=0");
export const status = () => get("/api/status");

/** The gaps of one symbol. */
export const gaps = async (symbol) => (await get(`/api/gaps?symbol=${encodeURIComponent(symbol)}`)).gaps;

/** The gaps of all symbols that something may still come of, or should have: not those that are explained. */
export async function openGaps() {
  const found = await Promise.all(
    ["being filled", "unfillable"].map((state) => get(`/api/gaps?state=${encodeURIComponent(state)}`)),
  );
  return found.flatMap((body) => body.gaps);
}

/** The bar that a push frame carries. */
export function barOfFrame({ t, T, o, h, l, c, v, q, n, V, Q, x }) {
  return { open: t, close: T, o, h, l, c, v, q, n, V, Q, closed: x, origin: "stream", verified: false, pushed: true };
}

function bar(kline) {
  return {
    open: kline.open_time,
    close: kline.close_time,
    o: kline.open,
    h: kline.high,
    l: kline.low,
    c: kline.close,
    v: kline.volume,
    q: kline.quote_volume,
    n: kline.trades,
    V: kline.taker_buy_volume,
    Q: kline.taker_buy_quote_volume,
    closed: kline.closed,
    origin: kline.origin,
    verified: kline.verified,
  };
}

async function answer(address, signal) {
  const response = await requested(address, signal);
  const body = await response.json().catch(() => null);
  if (!response.ok || body === null) {
    throw new Refused(body?.error?.code ?? `http_${response.status}`, body?.error?.message ?? response.statusText);
  }
  return { body, headers: response.headers };
}

async function requested(address, signal) {
  const early = started.get(address);
  started.delete(address);
  try {
    return await (early ?? fetch(address, { signal }));
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Refused("unreachable", String(error.message));
  }
}

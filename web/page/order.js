/** Which symbols a list shows, and in which order. */

const QUOTES = ["USDT", "USDC"];

/** What the filters are called, and what each lets pass. */
export const FILTERS = {
  all: () => true,
  favourites: (row, favourites) => favourites.has(row.symbol),
  ...Object.fromEntries(QUOTES.map((quote) => [quote, (row) => row.quote_asset === quote])),
  tradfi: (row) => row.contract_type === "TRADIFI_PERPETUAL",
};

export const COLUMNS = ["symbol", "last", "change", "high", "low", "trades", "quote_volume"];

/** As people type: without case, and full-width letters as narrow ones. */
export const folded = (text) => text.normalize("NFKC").toLocaleUpperCase("en").trim();

export function ordered(rows, { query, filter, favourites, sort, descending }) {
  const wanted = folded(query);
  const passes = FILTERS[filter] ?? FILTERS.all;
  const found = rows.filter((row) => passes(row, favourites) && row.folded.includes(wanted));
  const sign = descending ? -1 : 1;
  const compare =
    sort === "symbol"
      ? (one, other) => sign * (one.symbol < other.symbol ? -1 : 1)
      : (one, other) => sign * ((one.numbers[sort] ?? -Infinity) - (other.numbers[sort] ?? -Infinity));
  found.sort(
    (one, other) => isEnded(one) - isEnded(other) || rank(one, wanted) - rank(other, wanted) || compare(one, other),
  );
  return found;
}

export const isEnded = (row) => row.status !== "TRADING";

/** What begins with what was typed comes first. */
const rank = (row, wanted) => (!wanted || row.folded.startsWith(wanted) ? 0 : 1);

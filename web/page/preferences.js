/** What a person chose, kept in this browser. Where it cannot be kept it lasts as long as the page. */

const PREFIX = "barkeep.";
const DEFAULTS = {
  theme: "auto",
  language: "auto",
  zone: "utc",
  up: "green",
  log: false,
  favourites: [],
  sort: "quote_volume",
  descending: true,
  filter: "all",
  symbol: "",
  interval: "1h",
};

const chosen = new Map();
const listeners = new Map();

export function get(name) {
  if (!chosen.has(name)) chosen.set(name, stored(name) ?? DEFAULTS[name]);
  return chosen.get(name);
}

export function put(name, value) {
  chosen.set(name, value);
  try {
    localStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    /* private windows, or full */
  }
  tell(name);
}

export function onChange(name, act) {
  if (!listeners.has(name)) listeners.set(name, []);
  listeners.get(name).push(act);
}

/** Another window of the same page chose something. */
addEventListener("storage", ({ key }) => {
  const name = key?.startsWith(PREFIX) ? key.slice(PREFIX.length) : null;
  if (name === null || !(name in DEFAULTS) || name === "symbol" || name === "interval") return;
  chosen.delete(name);
  tell(name);
});

function tell(name) {
  for (const act of listeners.get(name) ?? []) act(get(name));
}

function stored(name) {
  try {
    const value = JSON.parse(localStorage.getItem(PREFIX + name));
    return typeof value === typeof DEFAULTS[name] && Array.isArray(value) === Array.isArray(DEFAULTS[name])
      ? value
      : null;
  } catch {
    return null;
  }
}

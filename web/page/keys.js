/** The keyboard: what each key does, everywhere but where text is typed. */

import { BY_KEY } from "./intervals.js";

/** Keys as the help shows them, and the text that explains each. */
export const KEYS = [
  ["/", "key_search"],
  ["↑ ↓", "key_list"],
  ["Enter", "key_open"],
  ["1 … 9", "key_intervals"],
  ["← →", "key_pan"],
  ["+ −", "key_zoom"],
  ["End", "key_newest"],
  ["L", "key_log"],
  ["F", "key_favourite"],
  ["M", "key_markets"],
  ["S", "key_status"],
  ["T", "key_theme"],
  ["?", "key_help"],
];

/** Call the action that a key stands for; `actions` are by name. */
export function listen(actions) {
  const table = {
    "/": actions.search,
    ArrowUp: () => actions.step(-1),
    ArrowDown: () => actions.step(1),
    Enter: actions.openMarked,
    ArrowLeft: () => actions.pan(-10),
    ArrowRight: () => actions.pan(10),
    "+": () => actions.zoom(1.25),
    "=": () => actions.zoom(1.25),
    "-": () => actions.zoom(0.8),
    End: actions.newest,
    l: actions.log,
    f: actions.favourite,
    m: actions.markets,
    s: actions.status,
    t: actions.theme,
    "?": actions.help,
  };
  BY_KEY.forEach((interval, index) => {
    table[index + 1] = () => actions.interval(interval);
  });
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.target.closest("input, dialog")) return;
    if (event.key === "Enter" && event.target.closest("a, button")) return;
    const act = table[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act || act() === false) return;
    event.preventDefault();
  });
}

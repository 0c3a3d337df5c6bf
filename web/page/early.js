/* Runs before anything is drawn: the theme, so that nothing flashes, and the first requests, which then
   travel beside the scripts. What they bring is picked up in api.js. */
(() => {
  "use strict";
  const read = (name, otherwise) => {
    try {
      return JSON.parse(localStorage.getItem(`barkeep.${name}`)) ?? otherwise;
    } catch {
      return otherwise;
    }
  };
  const root = document.documentElement;
  const theme = read("theme", "auto");
  const isLight = theme === "light" || (theme === "auto" && matchMedia("(prefers-color-scheme: light)").matches);
  root.dataset.theme = isLight ? "light" : "dark";
  root.dataset.up = read("up", "green");

  const [view, symbol, interval] = location.pathname.split("/").slice(1);
  root.dataset.view = view === "chart" || view === "status" ? view : "markets";
  const started = new Map();
  const start = (address) => {
    const answer = fetch(address);
    answer.catch(() => {}); // whoever picks it up handles that
    started.set(address, answer);
  };
  if (view === "chart" && symbol && interval) {
    const [name, length] = [decoded(symbol).toUpperCase(), decoded(interval)].map(encodeURIComponent);
    start(`/api/klines?symbol=${name}&interval=${length}&limit=500`);
  }
  if (root.dataset.view === "markets") start("/api/overview"); // beside a chart the list may wait
  window.barkeepStarted = started;

  function decoded(text) {
    try {
      return decodeURIComponent(text);
    } catch {
      return text;
    }
  }
})();

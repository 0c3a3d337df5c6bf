/** The dialogue with settings, keys and what this is. */

import { $, h } from "./dom.js";
import { KEYS } from "./keys.js";
import { get, put } from "./preferences.js";
import { inLanguage, LANGUAGES, t } from "./text.js";

const CHOICES = {
  theme: ["auto", "dark", "light"],
  language: ["auto", ...Object.keys(LANGUAGES)],
  zone: ["utc", "local"],
  up: ["green", "red"],
};
const LINKS = ["/api", "/openapi.json", "/metrics", "/healthz"];

export function addSettings() {
  const dialog = $("settings");
  inLanguage(() => fill(dialog));
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  return () => {
    fill(dialog);
    dialog.showModal();
  };
}

/** Follow the chosen theme, and the system's where none is chosen. */
export function follow(onChange) {
  const prefersLight = matchMedia("(prefers-color-scheme: light)");
  const root = document.documentElement;
  const show = () => {
    const theme = get("theme");
    root.dataset.theme = theme === "auto" ? (prefersLight.matches ? "light" : "dark") : theme;
    root.dataset.up = get("up");
    document.querySelector('meta[name="theme-color"]').content = getComputedStyle(root)
      .getPropertyValue("--page")
      .trim();
  };
  prefersLight.addEventListener("change", show);
  onChange("theme", show);
  onChange("up", show);
  show();
}

export const switchTheme = () => put("theme", document.documentElement.dataset.theme === "dark" ? "light" : "dark");

function fill(dialog) {
  dialog.setAttribute("aria-label", t("help"));
  dialog.replaceChildren(
    h(
      "header",
      {},
      h("h2", { textContent: t("settings") }),
      h("button", { className: "quiet", "aria-label": t("close"), onclick: () => dialog.close(), textContent: "✕" }),
    ),
    h("div", { className: "choices" }, ...Object.entries(CHOICES).map(([name, values]) => choice(name, values))),
    h("h2", { textContent: t("keys") }),
    h(
      "dl",
      { className: "keys" },
      ...KEYS.map(([key, text]) =>
        h("div", {}, h("dt", {}, ...key.split(" ").map(keyCap)), h("dd", { textContent: t(text) })),
      ),
    ),
    h("h2", { textContent: t("links") }),
    h(
      "p",
      { className: "links" },
      ...LINKS.map((address) => h("a", { href: address, target: "_blank", textContent: address })),
    ),
    h("p", { className: "about" }, t("about")),
  );
}

function choice(name, values) {
  const select = h(
    "select",
    { onchange: () => put(name, select.value) },
    ...values.map((value) =>
      h("option", { value, selected: get(name) === value }, LANGUAGES[value] ?? t(`${name}_${value}`)),
    ),
  );
  return h("label", {}, h("span", { textContent: t(`setting_${name}`) }), select);
}

const keyCap = (text) => (text === "…" ? "…" : h("kbd", { textContent: text }));

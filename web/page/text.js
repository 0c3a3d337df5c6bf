/** What the page says, in the reader's language. */

import { get, onChange, put } from "./preferences.js";
import { en } from "./strings/en.js";
import { zhCN } from "./strings/zh-CN.js";

const TABLES = { en, "zh-CN": zhCN };
export const LANGUAGES = { en: "English", "zh-CN": "中文" };

const listeners = [];

export function language() {
  const chosen = get("language");
  if (chosen in TABLES) return chosen;
  const wanted = navigator.languages?.find((tag) => /^(zh|en)\b/i.test(tag)) ?? "en";
  return /^zh/i.test(wanted) ? "zh-CN" : "en";
}

export const otherLanguage = () => (language() === "en" ? "zh-CN" : "en");
export const switchLanguage = () => put("language", otherLanguage());

/** The text under `key`, its `{names}` filled in. What is no key is said as it is: it came from the service. */
export function t(key, values = {}) {
  const text = TABLES[language()][key] ?? en[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

export const hasText = (key) => key in en;

/** Call `act` now and whenever the language changes. */
export function inLanguage(act) {
  listeners.push(act);
  act();
}

/** Fill in what the page itself marks with `data-t…`. */
export function translate(root = document) {
  for (const element of root.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
  for (const [mark, attribute] of [
    ["tLabel", "aria-label"],
    ["tTitle", "title"],
    ["tPlaceholder", "placeholder"],
  ]) {
    const selector = `[data-${mark.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}]`;
    for (const element of root.querySelectorAll(selector)) element.setAttribute(attribute, t(element.dataset[mark]));
  }
}

onChange("language", () => {
  document.documentElement.lang = language();
  translate();
  for (const act of listeners) act();
});
document.documentElement.lang = language();

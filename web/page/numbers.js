/** Numbers as people read them. Prices and volumes come as exact text and are only regrouped, never recomputed. */

import { language } from "./text.js";

const MINUS = "−";
const compacts = new Map();

/** `64123.40` as `64,123.40`: the same digits. */
export function grouped(text) {
  const [whole, fraction] = text.split(".");
  const digits = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return fraction === undefined ? digits : `${digits}.${fraction}`;
}

/** About how much: `1.23B`, `12.3亿`. */
export function compact(text) {
  const tag = language();
  if (!compacts.has(tag)) {
    compacts.set(tag, new Intl.NumberFormat(tag, { notation: "compact", maximumSignificantDigits: 4 }));
  }
  return compacts.get(tag).format(Number(text));
}

export const count = (number) => Number(number).toLocaleString(language());

/** The change from one price to another in per cent; null where there is none to compare with. */
export function changePercent(from, to) {
  const first = Number(from);
  return first ? ((Number(to) - first) / first) * 100 : null;
}

export function percent(number) {
  if (number === null || number === undefined || !Number.isFinite(number)) return "–";
  const text = Math.abs(number).toFixed(2);
  return text === "0.00" ? "0.00%" : `${number < 0 ? MINUS : "+"}${text}%`;
}

export const direction = (number) => (!number || Math.abs(number) < 0.005 ? "flat" : number > 0 ? "up" : "down");

export function bytes(number) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let power = 0;
  while (number >= 1000 && power < units.length - 1) {
    number /= 1000;
    power += 1;
  }
  return `${power ? number.toFixed(number < 10 ? 2 : 1) : number} ${units[power]}`;
}

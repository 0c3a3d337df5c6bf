/** Times as people read them: in UTC, as the exchange counts its days, or by this machine's zone. */

import { get } from "./preferences.js";
import { language } from "./text.js";
import { isIntraday } from "./intervals.js";

const formats = new Map();
const two = (number) => String(number).padStart(2, "0");

export const isLocal = () => get("zone") === "local";

/** Year, month (0 to 11), day, hour, minute and second of a time, in the chosen zone. */
export function parts(ms, local = isLocal()) {
  const date = new Date(ms);
  return local
    ? [date.getFullYear(), date.getMonth(), date.getDate(), date.getHours(), date.getMinutes(), date.getSeconds()]
    : [
        date.getUTCFullYear(),
        date.getUTCMonth(),
        date.getUTCDate(),
        date.getUTCHours(),
        date.getUTCMinutes(),
        date.getUTCSeconds(),
      ];
}

export function date(ms, local) {
  const [year, month, day] = parts(ms, local);
  return `${year}-${two(month + 1)}-${two(day)}`;
}

export function clock(ms, local, seconds = false) {
  const [, , , hour, minute, second] = parts(ms, local);
  return `${two(hour)}:${two(minute)}${seconds ? `:${two(second)}` : ""}`;
}

/** When a bar opens. Days and longer are of the exchange's calendar, whatever the zone. */
export function barTime(ms, interval) {
  return isIntraday(interval) ? `${date(ms)} ${clock(ms)}` : date(ms, false);
}

export const moment = (ms) => `${date(ms)} ${clock(ms)}`;

/** The zone by name, with its distance from UTC: `UTC+8`. */
export function zoneName() {
  if (!isLocal()) return "UTC";
  const minutes = -new Date().getTimezoneOffset();
  const whole = `${minutes < 0 ? "−" : "+"}${Math.floor(Math.abs(minutes) / 60)}`;
  return minutes ? `UTC${whole}${minutes % 60 ? `:${two(Math.abs(minutes) % 60)}` : ""}` : "UTC+0";
}

/** A mark below the chart. The library decides where marks go by UTC; what they say follows the zone. */
export function tick(ms, interval) {
  const intraday = isIntraday(interval);
  const [year, month, day, hour, minute] = parts(ms, intraday && isLocal());
  if (intraday && (hour || minute)) return `${two(hour)}:${two(minute)}`;
  if (day > 1)
    return intraday || interval === "1d" || interval === "1w" ? dayText(year, month, day) : monthText(year, month);
  return month ? monthText(year, month) : String(year);
}

/** How long until something: `04:12`, `3:04:12`, `2d 03:04`. */
export function left(ms) {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  const [days, hours, minutes] = [
    Math.floor(seconds / 86400),
    Math.floor(seconds / 3600) % 24,
    Math.floor(seconds / 60) % 60,
  ];
  if (days) return `${days}d ${two(hours)}:${two(minutes)}`;
  return hours ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${two(minutes)}:${two(seconds % 60)}`;
}

const dayText = (year, month, day) => format("day", { day: "numeric", month: "short" }, year, month, day);
const monthText = (year, month) => format("month", { month: "short" }, year, month, 1);

function format(name, options, ...when) {
  const key = `${language()} ${name}`;
  if (!formats.has(key)) formats.set(key, new Intl.DateTimeFormat(language(), { ...options, timeZone: "UTC" }));
  return formats.get(key).format(Date.UTC(...when));
}

/** What the bar under the crosshair holds, or the newest one: the very text that came, not a number printed anew. */

import { $, h, mark, say } from "./dom.js";
import { changePercent, direction, percent } from "./numbers.js";
import { inLanguage, t } from "./text.js";
import { barTime } from "./times.js";

const FIELDS = [
  ["o", "open"],
  ["h", "high"],
  ["l", "low"],
  ["c", "close"],
];
const MORE = [
  ["v", "volume"],
  ["q", "quoteVolume"],
  ["n", "trades"],
];

export class Legend {
  constructor() {
    this._time = h("span", { className: "when" });
    this._values = {};
    this._names = {};
    this._change = h("span", { className: "change" });
    this._reasons = h("div", { className: "reasons" });
    this._state = h("span", { className: "state" });
    const pair = ([field, name], className) => {
      this._values[field] = h("b", { "data-field": field });
      this._names[name] = h("i");
      return h("span", { className }, this._names[name], this._values[field]);
    };
    $("legend").append(
      h("div", { className: "values" }, this._time, ...FIELDS.map((field) => pair(field, "price")), this._change),
      h("div", { className: "values more" }, ...MORE.map((field) => pair(field, "amount")), this._state),
      this._reasons,
    );
    inLanguage(() => {
      for (const [name, element] of Object.entries(this._names)) say(element, t(`legend_${name}`));
      this.show(this._shown, this._interval, this._given);
    });
  }

  /** Show a place, which may have no bar, and the reasons for what is shaded there. */
  show(place, interval, reasons = []) {
    Object.assign(this, { _shown: place, _interval: interval, _given: reasons });
    $("legend").hidden = !place;
    if (!place) return;
    const { bar } = place;
    say(this._time, barTime(place.open, interval));
    for (const [field] of [...FIELDS, ...MORE]) say(this._values[field], bar ? String(bar[field]) : "–");
    const change = bar ? changePercent(bar.o, bar.c) : null;
    say(this._change, bar ? percent(change) : "");
    mark($("legend"), "direction", direction(change));
    mark($("legend"), "open", place.open);
    say(
      this._state,
      bar ? (bar.closed ? t(bar.verified ? "verifiedBar" : `origin_${bar.origin}`) : t("inProgress")) : t("noBar"),
    );
    this._reasons.replaceChildren(
      ...reasons.map(({ kind, text }) => h("span", { className: "reason", "data-kind": kind, textContent: text })),
    );
  }
}

/** What stands above the list: its columns, by which it sorts, and its filters. */

import { $, h } from "./dom.js";
import { COLUMNS, FILTERS } from "./order.js";
import { get, put } from "./preferences.js";
import { inLanguage, t } from "./text.js";

const NAMES = { favourites: "★", tradfi: "TradFi" };

export class Heads {
  constructor() {
    inLanguage(() => {
      this._columns();
      this._choices();
    });
  }

  _columns() {
    const head = (column) =>
      h(
        "span",
        { className: column, role: "columnheader" },
        h(
          "button",
          { type: "button", "data-column": column, onclick: () => this._sortBy(column) },
          t(`column_${column}`),
        ),
      );
    const [symbol, ...rest] = COLUMNS.map(head);
    $("columns").replaceChildren(
      h("span", { className: "star-cell", role: "columnheader", "aria-label": t("favourites") }),
      symbol,
      h("span", { className: "spark", role: "columnheader" }, h("span", { textContent: t("column_spark") })),
      ...rest,
    );
    this.show();
  }

  _choices() {
    $("filters").replaceChildren(
      ...Object.keys(FILTERS).map((name) =>
        h("button", {
          type: "button",
          "data-filter": name,
          onclick: () => put("filter", name),
          "aria-label": name === "favourites" ? t("favourites") : null,
          textContent: NAMES[name] ?? (name === "all" ? t("all") : name),
        }),
      ),
    );
    this.show();
  }

  _sortBy(column) {
    put("descending", get("sort") === column ? !get("descending") : column !== "symbol");
    put("sort", column);
  }

  /** What is chosen. */
  show() {
    for (const button of $("columns").querySelectorAll("[data-column]")) {
      const isChosen = button.dataset.column === get("sort");
      button.parentElement.setAttribute(
        "aria-sort",
        isChosen ? (get("descending") ? "descending" : "ascending") : "none",
      );
    }
    for (const button of $("filters").children)
      button.setAttribute("aria-pressed", button.dataset.filter === get("filter"));
  }
}

/** The gaps that are not explained, as a table. */

import { h } from "./dom.js";
import { count } from "./numbers.js";
import { addressOf } from "./row.js";
import { reasonText } from "./spans.js";
import { t } from "./text.js";
import { moment } from "./times.js";

const SHOWN = 100;

export function gapTable(gaps) {
  const shown = [...gaps].sort((one, other) => other.to - one.to).slice(0, SHOWN);
  const columns = ["symbol", "interval", "from", "to", "reason", "state"];
  return h(
    "section",
    { className: "card wide gaps" },
    h(
      "h2",
      {},
      h("span", { textContent: t("gaps") }),
      h("b", {
        textContent:
          gaps.length > shown.length
            ? t("firstOf", { shown: shown.length, total: count(gaps.length) })
            : count(gaps.length),
      }),
    ),
    shown.length
      ? h(
          "div",
          { className: "scroll" },
          h(
            "table",
            {},
            h(
              "thead",
              {},
              h("tr", {}, ...columns.map((column) => h("th", { scope: "col", textContent: t(`gap_${column}`) }))),
            ),
            h(
              "tbody",
              {},
              ...shown.map((gap) =>
                h(
                  "tr",
                  {},
                  h(
                    "td",
                    {},
                    h("a", { href: addressOf(gap.symbol, gap.interval), "data-nav": "", textContent: gap.symbol }),
                  ),
                  h("td", { textContent: gap.interval }),
                  h("td", { textContent: gap.from ? moment(gap.from) : "–" }),
                  h("td", { textContent: moment(gap.to) }),
                  h("td", { textContent: reasonText(gap.reason) }),
                  h("td", { textContent: reasonText(gap.state) }),
                ),
              ),
            ),
          ),
        )
      : h("p", { className: "hint", textContent: t("noGaps") }),
  );
}

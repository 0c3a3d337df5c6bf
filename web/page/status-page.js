/** How the service is: feeds, lag, gaps, backfill, what was compared with the exchange, the database. */

import { openGaps, Refused, status as askStatus } from "./api.js";
import { $, h, whileSeen } from "./dom.js";
import { gapTable } from "./gap-table.js";
import { cardsOf } from "./status-cards.js";
import { inLanguage, t } from "./text.js";

const REFRESH_MS = 2000;
const GAPS_EVERY = 8;
const LINKS = [
  ["/api", "link_api"],
  ["/openapi.json", "link_openapi"],
  ["/metrics", "link_metrics"],
  ["/healthz", "link_health"],
  ["/api/status", "link_status"],
  ["/api/gaps", "link_gaps"],
  ["/fapi/v1/exchangeInfo", "link_exchange"],
];

export class StatusPage {
  constructor() {
    this._turn = 0;
    this._cards = h("div", { className: "cards" });
    this._gapsPlace = h("div");
    this._links = h("nav", { className: "links", hidden: true });
    this._failure = h("p", { className: "failure", role: "alert", hidden: true });
    $("status-view").append(this._failure, this._cards, this._gapsPlace, this._links);
    whileSeen(REFRESH_MS, () => this._refresh());
    inLanguage(() => {
      this._links.replaceChildren(
        h("h2", { textContent: t("links") }),
        h(
          "div",
          {},
          ...LINKS.map(([address, text]) =>
            h(
              "a",
              { href: address, target: "_blank" },
              h("code", { textContent: address }),
              h("span", { textContent: t(text) }),
            ),
          ),
        ),
      );
      this._show();
    });
  }

  set isShown(shown) {
    $("status-view").hidden = !shown;
    this._shown = shown;
    this._turn = 0;
    this._refresh();
  }

  async _refresh() {
    if (!this._shown || this._isAsking) return;
    this._isAsking = true;
    try {
      this._status = await askStatus();
      this._failure.hidden = true;
      this._show();
      if (this._turn++ % GAPS_EVERY === 0) this._gaps = await openGaps();
      this._showGaps();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this._failure.textContent = error.code === "unreachable" ? t("unreachable") : error.message;
      this._failure.hidden = false;
    } finally {
      this._isAsking = false;
      this._links.hidden = false; // not before what stands above them
    }
  }

  _show() {
    const status = this._status;
    if (!status) return;
    this._cards.replaceChildren(...cardsOf(status));
    this._showGaps();
  }

  _showGaps() {
    if (this._gaps) this._gapsPlace.replaceChildren(gapTable(this._gaps));
  }
}

/** How the chart looks: the page's colours, and how times are written below it. */

import { barTime, tick } from "./times.js";

/** How many bars there is room for to the right of the newest. */
export const RIGHT_OFFSET = 5;
const FONT = [
  '-apple-system, BlinkMacSystemFont, "Segoe UI", Roboto, "Helvetica Neue", Arial',
  '"PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif',
].join(", ");
const DASHED = 3;
const { CrosshairMode, ColorType } = window.LightweightCharts;

/** What is set once: a person may zoom and scroll away from it. */
export const beginning = () => ({
  autoSize: true,
  layout: { attributionLogo: false }, // it would inject inline styles; the page itself names the library
  crosshair: { mode: CrosshairMode.Normal },
  rightPriceScale: { scaleMargins: { top: 0.1, bottom: 0.2 }, minimumWidth: 64 },
  timeScale: { timeVisible: true, secondsVisible: false, rightOffset: RIGHT_OFFSET, barSpacing: 7, minBarSpacing: 0.4 },
});

/** What follows the theme, the language and the zone. */
export function looks({ background, text, grid, line, cross }, interval) {
  const crosshair = { color: cross, width: 1, style: DASHED, labelBackgroundColor: cross };
  return {
    layout: {
      background: { type: ColorType.Solid, color: background },
      textColor: text,
      fontFamily: FONT,
      fontSize: 11,
    },
    grid: { vertLines: { color: grid }, horzLines: { color: grid } },
    crosshair: { vertLine: crosshair, horzLine: crosshair },
    rightPriceScale: { borderColor: line },
    timeScale: { borderColor: line, tickMarkFormatter: (time) => tick(time * 1000, interval) },
    localization: { timeFormatter: (time) => barTime(time * 1000, interval) },
  };
}

/** The theme's colours as they are now. */
export function colours() {
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    background: color("plot"),
    text: color("dim"),
    grid: color("grid"),
    line: color("line"),
    cross: color("cross"),
    up: color("up"),
    down: color("down"),
    upVolume: color("up-volume"),
    downVolume: color("down-volume"),
    area: (kind) => color(`${kind}-area`),
    edge: (kind) => color(`${kind}-edge`),
  };
}

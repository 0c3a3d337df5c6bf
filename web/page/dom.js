/** Elements, made without HTML text: whatever a name holds stays text. */

const SVG = "http://www.w3.org/2000/svg";

export const $ = (id) => document.getElementById(id);

/** An element with attributes, properties (`on…`, `textContent`, `className`, `value`) and children, which may be text. */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) set(element, key, value);
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** The same for a part of a drawing. */
export function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** Write only what changed: the browser need not look at the rest. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function mark(element, name, value) {
  if (value === null || value === undefined) delete element.dataset[name];
  else if (element.dataset[name] !== String(value)) element.dataset[name] = value;
}

/** At most one call for each frame that is drawn; a page in the background draws none, so a timer serves there. */
export function onceAFrame(act) {
  let waiting = false;
  const run = () => {
    waiting = false;
    act();
  };
  return () => {
    if (waiting) return;
    waiting = true;
    if (document.hidden) setTimeout(run, 1000);
    else requestAnimationFrame(run);
  };
}

/** Call once nothing was asked for during `ms`. */
export function afterQuiet(ms, act) {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => act(...values), ms);
  };
}

/** A repeating task that rests while the page is hidden and runs at once when it is seen again. */
export function whileSeen(ms, act) {
  let timer = 0;
  const rest = () => clearInterval(timer);
  const wake = () => {
    rest();
    timer = setInterval(act, ms);
  };
  const look = () => {
    if (document.hidden) return rest();
    act();
    wake();
  };
  document.addEventListener("visibilitychange", look);
  if (!document.hidden) wake();
  return () => {
    rest();
    document.removeEventListener("visibilitychange", look);
  };
}

function set(element, key, value) {
  if (value === null || value === undefined || value === false) return;
  if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
  else if (key === "className" || key === "textContent" || key === "value") element[key] = value;
  else element.setAttribute(key, value === true ? "" : value);
}

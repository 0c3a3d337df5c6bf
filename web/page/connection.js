/**
 * The one WebSocket of this page: which streams it carries, and how well.
 *
 * States: `connecting` at first; `live`; `stale` when connected and yet nothing comes, though something should;
 * `reconnecting` after a loss; `offline` when the browser says so, or nothing at all can be reached.
 */

const PATH = "/market/stream";
const NAMES_AT_ONCE = 100;
const MESSAGE_GAP_MS = 250; // the exchange's protocol allows ten messages a second; four leave room
const SILENCE_MS = 10_000;
const DEAD_MS = 40_000;
const FIRST_DELAY_MS = 250;
const DELAY_MAX_MS = 10_000;
const HANDSHAKE_MS = 10_000;
const LOST_ATTEMPTS = 4;

export class Connection {
  constructor() {
    this.state = "connecting";
    this.silentSince = performance.now();
    this._claims = new Map(); // stream → claims, each with its own ways to be told
    this._asked = new Set();
    this._waiting = new Map(); // id of a request → streams
    this._nextId = 1;
    this._attempt = 0;
    this._listeners = [];
    this._clock = null;
    addEventListener("online", () => this._now());
    addEventListener("offline", () => this._say("offline"));
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this._now();
    });
    setInterval(() => this._watch(), 1000);
  }

  /** Tell `act` the state, now and whenever it changes; returns what ends that. */
  onState(act) {
    this._listeners.push(act);
    act(this.state);
    return () => {
      this._listeners = this._listeners.filter((listener) => listener !== act);
    };
  }

  /** Somebody knows better than this connection that there is something to tell: begin anew. */
  doubt() {
    if (this._socket && this.state === "live") this._lost(this._socket);
  }

  open() {
    clearTimeout(this._retry);
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${PATH}`);
    this._socket = socket;
    this._asked.clear();
    this._waiting.clear();
    const handshake = setTimeout(() => this._lost(socket), HANDSHAKE_MS);
    socket.onopen = () => {
      clearTimeout(handshake);
      this.silentSince = performance.now();
      this._subscribe();
    };
    socket.onmessage = ({ data }) => {
      if (socket === this._socket) this._receive(JSON.parse(data));
    };
    socket.onclose = () => {
      clearTimeout(handshake);
      this._lost(socket);
    };
  }

  /**
   * Have the frames of some streams. `onFrame` gets each frame's data; `onReady` is called whenever the streams have
   * (again) been subscribed: from then on nothing is missed. Returns what ends it.
   */
  claim(streams, onFrame, onReady = () => {}) {
    const claim = { onFrame, onReady, streams: new Set(streams) };
    for (const stream of claim.streams) {
      if (!this._claims.has(stream)) this._claims.set(stream, new Set());
      this._claims.get(stream).add(claim);
    }
    this._subscribe();
    if ([...claim.streams].every((stream) => this._asked.has(stream) && !this._isWaitedFor(stream))) onReady();
    return () => {
      for (const stream of claim.streams) {
        const claims = this._claims.get(stream);
        claims?.delete(claim);
        if (!claims?.size) this._claims.delete(stream);
      }
      this._subscribe();
    };
  }

  /** The exchange's time, as its newest frame said it, and what passed since; null before the first. */
  get exchangeMs() {
    return this._clock && this._clock.event + (performance.now() - this._clock.at);
  }

  _receive(message) {
    const { stream, data } = message;
    if (stream === undefined) return this._answered(message);
    this.silentSince = performance.now();
    if (!this._clock || data.E >= this._clock.event) this._clock = { event: data.E, at: this.silentSince };
    this._attempt = 0;
    this._isDoubtful = false;
    this._say("live");
    for (const claim of [...(this._claims.get(stream) ?? [])]) claim.onFrame(data);
  }

  _answered({ id }) {
    const streams = this._waiting.get(id);
    if (!streams) return;
    this._waiting.delete(id);
    this._attempt = 0;
    this._say(this._isDoubtful ? "stale" : "live");
    const claims = new Set(streams.flatMap((stream) => [...(this._claims.get(stream) ?? [])]));
    for (const claim of claims) {
      if ([...claim.streams].every((stream) => this._asked.has(stream) && !this._isWaitedFor(stream))) claim.onReady();
    }
  }

  /** Say what is wanted and not asked for yet, some time after the last word. */
  _subscribe() {
    clearTimeout(this._next);
    if (this._socket?.readyState !== WebSocket.OPEN) return;
    const pause = (this._saidAt ?? 0) + MESSAGE_GAP_MS - performance.now();
    if (pause > 0) {
      this._next = setTimeout(() => this._subscribe(), pause);
      return;
    }
    const missing = [...this._claims.keys()].filter((stream) => !this._asked.has(stream));
    const needless = [...this._asked].filter((stream) => !this._claims.has(stream));
    if (missing.length) this._ask("SUBSCRIBE", missing.slice(0, NAMES_AT_ONCE));
    else if (needless.length) this._ask("UNSUBSCRIBE", needless.slice(0, NAMES_AT_ONCE));
    else return;
    this._next = setTimeout(() => this._subscribe(), MESSAGE_GAP_MS);
  }

  _ask(method, params) {
    const id = this._nextId++;
    for (const stream of params) {
      if (method === "SUBSCRIBE") this._asked.add(stream);
      else this._asked.delete(stream);
    }
    if (method === "SUBSCRIBE") this._waiting.set(id, params);
    this._saidAt = performance.now();
    this._socket.send(JSON.stringify({ method, params, id }));
  }

  _isWaitedFor(stream) {
    return [...this._waiting.values()].some((streams) => streams.includes(stream));
  }

  _lost(socket) {
    if (socket !== this._socket) return;
    this._socket = null;
    this._asked.clear();
    socket.close();
    this._attempt += 1;
    this._say(!navigator.onLine || this._attempt > LOST_ATTEMPTS ? "offline" : "reconnecting");
    const longest = Math.min(DELAY_MAX_MS, FIRST_DELAY_MS * 2 ** this._attempt);
    this._retry = setTimeout(() => this.open(), longest * (0.5 + Math.random() / 2));
  }

  /** Do not wait for the next attempt: something changed. */
  _now() {
    if (this._socket || this.state === "connecting") return;
    this.open();
  }

  _watch() {
    const silence = performance.now() - this.silentSince;
    if (!this._socket || !this._claims.size || silence < SILENCE_MS) return;
    if (this.state === "live") {
      this._isDoubtful = true;
      this._say("stale");
    } else if (this.state === "stale") {
      this._tell();
      if (silence > DEAD_MS) this._lost(this._socket); // the peer may be gone without a word
    }
  }

  _say(state) {
    if (state === this.state) return;
    this.state = state;
    this._tell();
  }

  _tell() {
    for (const act of this._listeners) act(this.state);
  }
}

/** Only ASCII letters are lower-cased in stream names: `币安人生USDT` streams as `币安人生usdt@kline_1m`. */
export const streamOf = (symbol, interval) =>
  `${symbol.replace(/[A-Z]/g, (letter) => letter.toLowerCase())}@kline_${interval}`;

// A line of server-sent events that is picked up where it broke: the server's cursor comes back with every event.

import { byId, say, state } from "./dom.js";
import { duration } from "./format.js";

const SILENCE_SECONDS = 25;

/** Listen to `path`; `handlers` by event name get the data. `cursor` is where to begin (null: the server decides). */
export function listen(path, cursor, handlers) {
  let source = null, last = cursor, heard = Date.now(), down = false, timer = null;

  function open() {
    if (source || document.hidden) return;
    source = new EventSource(last === null ? path : `${path}?after=${encodeURIComponent(last)}`);
    for (const [name, handle] of Object.entries(handlers)) {
      source.addEventListener(name, (event) => {
        heard = Date.now();
        if (event.lastEventId) last = event.lastEventId;
        handle(JSON.parse(event.data));
        up();
      });
    }
    source.onopen = () => { heard = Date.now(); up(); };
    source.onerror = () => {
      if (source?.readyState === EventSource.CLOSED) close();
      if (!down) { down = true; say("disconnected"); }
      show();
      clearTimeout(timer);
      timer = setTimeout(open, 2000);
    };
  }

  function close() {
    source?.close();
    source = null;
  }

  function up() {
    if (down) say("connected again");
    down = false;
    show();
  }

  function show() {
    const silent = (Date.now() - heard) / 1000;
    if (down) state(byId("line"), "critical", `disconnected for ${duration(silent)}; trying again`);
    else if (silent > SILENCE_SECONDS) state(byId("line"), "watch", `silent for ${duration(silent)}`);
    else state(byId("line"), "well", "live");
  }

  // A browser opens six lines to one server: a hidden page gives its own back, and misses nothing by it.
  document.addEventListener("visibilitychange", () => { if (document.hidden) close(); else { heard = Date.now(); open(); } });
  addEventListener("pagehide", close);
  setInterval(show, 2000);
  open();
}

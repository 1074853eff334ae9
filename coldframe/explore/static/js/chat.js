// Talking to the model while it learns: tokens as they come, each answer with the step of the weights that gave it.

import { ask, byId, el, put, send } from "./dom.js";
import { clock, duration, fixed, whole } from "./format.js";
import { explain } from "./tips.js";

const DIALS = [
  ["temperature", "temperature", 0.8, 0.05], ["top_k", "top k (0: off)", 0, 1], ["top_p", "top p (1: off)", 1, 0.01], ["min_p", "min p (0: off)", 0, 0.01],
  ["repetition_penalty", "repetition (1: off)", 1, 0.05], ["max_tokens", "tokens at most", 256, 1], ["seed", "seed (empty: new)", "", 1],
];
const LEASE_SECONDS = 20;
const IDLE_SECONDS = 120; // without a word for so long, nobody is taken to be talking
const ENDS = { stop: "stopped at a stop text", end: "ended its turn", length: "cut off there, as asked", context: "the context is full", stopped: "stopped", error: "broke off" };

export class Chat {
  constructor(path, name, page) {
    Object.assign(this, { path, name, page, conversation: null, mode: "continue", answering: null, used: 0, leased: 0 });
    this.title = el("h2", {}, "Talk");
    this.who = el("span", { className: "small", id: "speaker" });
    this.log = el("div", { className: "log", id: "log", role: "log", "aria-live": "off", tabindex: 0, "aria-label": "Conversation" });
    this.hint = el("p", { className: "quiet small" });
    this.input = el("textarea", { id: "say", rows: 2, maxlength: 60000, "aria-label": "What you say", onkeydown: (event) => this.key(event), onfocus: () => this.touch(), oninput: () => this.touch() });
    this.button = el("button", { type: "submit", className: "first", id: "send" }, "Send");
    this.stop = el("button", { type: "button", id: "stop-answer", hidden: true, onclick: () => this.answering?.abort() }, "Stop");
    this.note = el("span", { className: "small", role: "status" });
    this.dials = el("div", { className: "dials" }, DIALS.map(([id, words, value, step]) => el("label", {}, words, el("input", { name: id, type: "number", step, value: this.kept(id) ?? value, onchange: () => this.keep() }))),
      el("label", {}, "stop at (text)", el("input", { name: "stop", value: this.kept("stop") ?? "", onchange: () => this.keep() })));
    this.past = el("ul", { className: "past" });
    byId("talk").append(
      el("section", {}, el("header", {}, this.title, this.who, el("span", { className: "tools" }, el("button", { type: "button", className: "plain", id: "new-talk", onclick: () => this.anew() }, "New")))),
      this.log,
      el("form", { onsubmit: (event) => { event.preventDefault(); this.say(); } }, this.input, el("div", { className: "send" }, this.note, this.stop, this.button)),
      el("details", {}, el("summary", {}, "How the next token is drawn"), this.dials),
      el("details", { ontoggle: (event) => { if (event.target.open) this.list(); } }, el("summary", {}, "Earlier conversations"), this.past));
    setInterval(() => this.lease(), 2000);
    this.look();
  }

  kept(id) {
    try { return JSON.parse(localStorage.getItem("sampling") ?? "{}")[id]; } catch { return undefined; }
  }

  keep() {
    const values = Object.fromEntries([...this.dials.querySelectorAll("input")].map((input) => [input.name, input.value]));
    try { localStorage.setItem("sampling", JSON.stringify(values)); } catch { /* then they last until the page is left */ }
  }

  sampling() {
    const values = {};
    for (const input of this.dials.querySelectorAll("input")) {
      if (input.name === "stop") { if (input.value) values.stop = [input.value.replaceAll("\\n", "\n")]; }
      else if (input.value !== "") values[input.name] = Number(input.value);
    }
    return values;
  }

  async look() {
    try { this.tell(await ask(`${this.path}/chat.json`)); } catch (error) { put(this.who, error.message); }
  }

  /** Who would answer, in words; and whether it answers or goes on with a text. */
  tell(speaker) {
    if (!this.conversation) this.mode = speaker.mode;
    put(this.who, speaker.detail);
    this.log.classList.toggle("continue", this.mode === "continue");
    this.input.placeholder = this.mode === "continue" ? "Begin a text; the model goes on with it" : "Say something";
    if (!this.answering) put(this.button, this.mode === "continue" ? "Continue" : "Send");
    put(this.hint, this.mode === "continue"
      ? "This model continues text. It was never taught to answer: write how something begins, and it writes what might come next. An empty field lets it go on."
      : "This model was taught to answer. Half-trained, it will be wrong with great confidence.");
    if (!this.log.querySelector(".turn")) this.log.replaceChildren(this.hint);
    explain(this.who, () => ({ title: "Weights", value: speaker.step === null ? "none yet" : `step ${whole(speaker.step)} (${speaker.kind === "live" ? "published while training" : "checkpoint"})`, measured: this.page.quantities.chat.measured, extra: [["context", speaker.context ? `${whole(speaker.context)} tokens` : null]], command: `coldframe chat ${this.name}${speaker.step === null ? "" : ` --step ${speaker.step}`}` }));
    this.who.classList.add("figure");
    this.who.tabIndex = 0;
  }

  /** Somebody is here: ask for fresh weights, and have them loaded before the first word. */
  touch() {
    this.used = Date.now();
    this.lease();
  }

  async lease() {
    const wanted = !document.hidden && Date.now() - this.used < IDLE_SECONDS * 1000;
    if (!wanted || this.answering || Date.now() - this.leased < LEASE_SECONDS * 1000) return;
    this.leased = Date.now();
    try { this.tell(await send(`${this.path}/chat/lease`)); } catch (error) { put(this.note, `${error.message}. ${error.advice ?? ""}`); }
  }

  key(event) {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); this.say(); }
    if (event.key === "Escape") this.answering?.abort();
  }

  turn(role, text, meta) {
    this.hint.remove();
    const words = el("p", { className: "voice" }, text);
    const foot = el("p", { className: "meta" }, meta ?? "");
    const node = el("div", { className: `turn ${role}` }, role === "user" ? text : [words, foot]);
    this.log.append(node);
    this.log.scrollTop = this.log.scrollHeight;
    return { node, words, foot };
  }

  async say() {
    const text = this.input.value;
    if (this.answering || (this.mode === "chat" && !text.trim())) return;
    this.used = Date.now();
    if (text) this.turn("user", text);
    this.input.value = "";
    const turn = this.turn("assistant", "");
    turn.node.classList.add("pending");
    this.answering = new AbortController();
    this.busy(true);
    try {
      await this.stream(text, turn);
    } catch (error) {
      if (error.name === "AbortError") put(turn.foot, `${turn.foot.textContent}${turn.foot.textContent ? "; " : ""}stopped`);
      else this.trouble(turn, error, text);
    } finally {
      turn.node.classList.remove("pending");
      this.answering = null;
      this.busy(false);
    }
  }

  busy(on) {
    this.stop.hidden = !on;
    this.button.disabled = on;
    put(this.note, on ? "reading" : "");
    if (!on) put(this.button, this.mode === "continue" ? "Continue" : "Send");
  }

  trouble(turn, error, text) {
    turn.node.classList.add("trouble");
    put(turn.foot, `${error.message}. ${error.advice ?? ""}`);
    turn.foot.classList.add("trouble");
    if (!this.input.value && !turn.words.textContent) this.input.value = text;
  }

  async stream(text, turn) {
    const body = { text, conversation: this.conversation, sampling: this.sampling() };
    const answer = await fetch(`${this.path}/chat`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body), signal: this.answering.signal });
    if (!answer.ok) throw Object.assign(new Error(), (await answer.json()).error);
    const words = turn.words.appendChild(document.createTextNode(""));
    for await (const [kind, data] of events(answer.body)) {
      if (kind === "start") { this.conversation = data.conversation; put(turn.foot, `step ${whole(data.step)}`); put(this.note, ""); }
      else if (kind === "waiting") put(this.note, data.message);
      else if (kind === "token") this.write(words, data.text);
      else if (kind === "end") this.ended(turn, data);
      else if (kind === "error") { this.conversation = data.conversation; throw Object.assign(new Error(data.message), data); }
    }
  }

  write(words, text) {
    const follow = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 40;
    words.appendData(text);
    if (follow) this.log.scrollTop = this.log.scrollHeight;
  }

  ended(turn, data) {
    put(turn.foot, this.foot(data));
    explain(turn.foot, () => ({ title: "Answer", value: ENDS[data.finish] ?? data.finish, measured: this.page.quantities.chat.measured, time: Date.now() / 1000, extra: [["first token after", duration(data.time_to_first_token_seconds)], ["seed", data.seed]], command: `coldframe chat ${this.name} --step ${data.step}` }));
    if (this.log.contains(document.activeElement) || document.activeElement === this.input) put(this.note, "answered");
    this.look();
  }

  foot(data) {
    const speed = data.tokens_per_second ? `, ${fixed(data.tokens_per_second, 0)} tokens/s` : "";
    return `step ${whole(data.step)}; ${data.num_tokens} tokens${speed}; ${ENDS[data.finish] ?? data.finish ?? ""}`;
  }

  anew() {
    this.answering?.abort();
    this.conversation = null;
    this.log.replaceChildren(this.hint);
    this.look();
    this.input.focus();
  }

  async list() {
    const { conversations } = await ask(`/conversations.json?run=${encodeURIComponent(this.name)}`);
    this.past.replaceChildren(...conversations.map((talk) => el("li", {},
      el("button", { type: "button", className: "plain open", onclick: () => this.open(talk.id) }, talk.title), el("span", { className: "quiet" }, clock(talk.time)),
      el("button", { type: "button", className: "plain", "aria-label": `Forget: ${talk.title}`, onclick: async () => { await send(`/conversations/${talk.id}`, undefined, "DELETE"); if (this.conversation === talk.id) this.anew(); this.list(); } }, "forget"))));
    if (!conversations.length) this.past.replaceChildren(el("li", { className: "none" }, "None yet."));
  }

  async open(id) {
    const { conversation, messages } = await ask(`/conversations/${id}.json`);
    this.answering?.abort();
    this.conversation = id;
    this.mode = conversation.mode;
    this.log.replaceChildren();
    for (const message of messages) this.turn(message.role, message.text, message.role === "assistant" ? this.foot(message) : "");
    this.look();
  }
}

/** Server-sent events out of a fetched body. */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ""; ;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const lines = block.split("\n");
      const kind = lines.find((line) => line.startsWith("event: "))?.slice(7);
      const data = lines.filter((line) => line.startsWith("data: ")).map((line) => line.slice(6)).join("\n");
      if (kind) yield [kind, JSON.parse(data)];
    }
  }
}

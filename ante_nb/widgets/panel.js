// The panel: the running turn, a prompt box, the session's usage, the selector.

function contextBar() {
  const root = make("div", "ante-part");
  const bar = make("div", "ante-bar");
  bar.setAttribute("role", "img");
  const words = make("p", "ante-faint");
  const legend = make("ul", "ante-legend");
  root.append(bar, words, legend);
  return {
    root,
    update(context) {
      root.hidden = !context || !(context.limit || context.used);
      if (root.hidden) return;
      const rows = context.rows.filter((row) => row.tokens > 0);
      const whole = context.limit || context.used || 1;
      const about = context.estimated ? "about " : "";
      const limit = context.limit ? `${number(context.limit)} (${Math.round((100 * context.used) / context.limit)}%)` : "an unknown limit";
      setText(words, `Context: ${about}${number(context.used)} of ${limit}`);
      bar.setAttribute("aria-label", `${words.textContent}. ${rows.map((row) => `${row.name} ${number(row.tokens)}`).join(", ")}`);
      const kind = (row) => row.name.replaceAll(/[^a-z]+/g, "-");
      bar.replaceChildren(
        ...rows.map((row) => {
          const piece = make("span");
          piece.dataset.kind = kind(row);
          piece.style.flexGrow = String(row.tokens / whole);
          piece.title = `${row.name}: ${number(row.tokens)} tokens`;
          return piece;
        }),
      );
      legend.replaceChildren(
        ...rows.map((row) => {
          const item = make("li", "", `${row.name} ${number(row.tokens)}`);
          item.dataset.kind = kind(row);
          return item;
        }),
      );
    },
  };
}

function turnBox(act, place) {
  const root = make("section", "ante-part ante-turn");
  root.setAttribute("aria-label", "Running turn");
  const words = make("p", "ante-prompt");
  const row = make("div", "ante-row");
  const stop = makeButton("Stop", "ante-main");
  const time = make("span", "ante-faint");
  time.setAttribute("aria-hidden", "true"); // read out every second, it would drown what matters
  row.append(stop, time);
  const queue = make("ol", "ante-queue");
  const back = makeButton("Take the last one back");
  root.append(words, row, queue, back);
  let began = 0;
  let step = 0;
  const tick = () => {
    const seconds = Math.max(0, Math.floor((performance.now() - began) / 1000));
    setText(time, `${seconds} s, step ${step}`);
  };
  stop.addEventListener("click", async () => {
    stop.disabled = true;
    setText(stop, "Stopping …");
    // A kernel that hears nothing while it runs can still be interrupted by the page.
    const late = setTimeout(() => place.interrupt?.(), 1500);
    await act("stop");
    clearTimeout(late);
  });
  back.addEventListener("click", async () => {
    const answer = await act("unqueue");
    if (answer.ok && answer.data) place.back?.(answer.data);
  });
  return {
    root,
    tick,
    update(state) {
      const turn = state.running;
      queue.replaceChildren(...(state.queued || []).map((text) => make("li", "", text)));
      queue.hidden = back.hidden = !state.queued?.length;
      // What the turn did not come to is still there, to be taken back.
      root.hidden = !turn && queue.hidden;
      row.hidden = !turn;
      setText(words, turn?.prompt || "The turn has ended before it read:");
      if (!turn) return;
      began = performance.now() - turn.seconds * 1000;
      step = turn.step;
      stop.disabled = turn.stopping;
      setText(stop, turn.stopping ? "Stopping …" : "Stop");
      tick();
    },
  };
}

function promptBox(act, place, say) {
  const form = make("form", "ante-part");
  const input = make("textarea");
  input.rows = 3;
  const field = makeField("Prompt", input);
  const row = make("div", "ante-row");
  const send = makeButton("Run", "ante-main");
  send.type = "submit";
  const after = makeButton("Run after it");
  row.append(send, after);
  form.append(field.box, row);
  let steering = false;
  const inCell = async () => {
    const text = input.value;
    if (!text.trim()) return;
    const problem = await place.prompt(text);
    if (problem) say(problem, false);
    else input.value = "";
  };
  const submit = async () => {
    const text = input.value;
    if (!text.trim() || send.disabled) return;
    if (!steering) return inCell();
    input.value = "";
    const answer = await act("steer", { text });
    // The turn has ended meanwhile: nothing that was written may be lost.
    if (!answer.ok) input.value = input.value ? `${text}\n${input.value}` : text;
  };
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    void submit();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void submit();
  });
  after.addEventListener("click", () => void inCell());
  place.back = (text) => {
    input.value = input.value ? `${text}\n${input.value}` : text;
    if (!input.disabled) input.focus();
  };
  return {
    form,
    update(state) {
      steering = !!state.running;
      const cells = place.prompt !== undefined;
      setText(send, steering ? "Send to the turn" : "Run");
      send.disabled = !steering && !cells;
      input.disabled = send.disabled;
      after.hidden = !(steering && cells);
      setText(
        field.note,
        steering
          ? "Enter sends it to the running turn, which reads it before its next step."
          : cells
            ? "Enter runs it in a new cell; Shift+Enter makes a new line."
            : "This front end cannot add cells: write the prompt in one, below %%ante in a Python notebook.",
      );
    },
  };
}

function usageLine() {
  const line = make("p", "ante-usage");
  return {
    line,
    update(state) {
      const usage = state.usage;
      if (!usage) return;
      const share = usage.cache_share === null ? "" : ` (${Math.round(100 * usage.cache_share)}% from cache)`;
      const turns = state.session ? `${state.session.turns} turn${state.session.turns === 1 ? "" : "s"} · ` : "";
      setText(line, `${turns}${number(usage.input)} tokens in${share} · ${number(usage.output)} out · cost ${usage.cost}`);
    },
  };
}

// What the kernel answers at once, where it can answer.
const AT_ONCE = ["choose", "save", "key", "forget_key", "steer", "unqueue"];

// place: {title, note, prompt(text) -> problem or "", interrupt()}; both functions where the page can do it.
function mount({ el, send, listen, place }) {
  const root = make("div", "ante-card ante-panel");
  root.setAttribute("role", "region");
  root.setAttribute("aria-label", place.title ? `Ante: ${place.title}` : "Ante");
  root.dataset.lmSuppressShortcuts = "true";
  // JupyterLab looks for the mark at the focused element itself, not around it.
  root.addEventListener("focusin", (event) => {
    if (event.target instanceof HTMLElement) event.target.dataset.lmSuppressShortcuts = "true";
  });
  for (const kind of ["keydown", "keyup", "keypress", "paste", "contextmenu"])
    root.addEventListener(kind, (event) => event.stopPropagation());

  const waiting = new Map();
  // What was said of the running turn, until that has gone on.
  let passing = "";
  let next = 0;
  const act = (kind, data = {}) =>
    new Promise((resolve) => {
      const n = ++next;
      waiting.set(n, { kind, resolve });
      send({ ...data, kind, n, turn: state.running?.id || "" });
      // Code that holds the kernel's thread lets no message through: what was typed must not seem lost.
      if (AT_ONCE.includes(kind))
        setTimeout(() => waiting.has(n) && say(`The kernel is busy; it takes this as soon as it can${data.text ? `: “${data.text}”` : "."}`, true), 1000);
    });
  const status = make("p", "ante-answer");
  status.setAttribute("role", "status");
  status.setAttribute("aria-live", "polite");
  const say = (text, ok) => {
    passing = "";
    status.textContent = text;
    status.classList.toggle("ante-problem", !ok);
    status.hidden = !text;
  };
  say("Waiting for the kernel …", true);

  const title = make("h3", "", place.title ? `Ante · ${place.title}` : "Ante");
  const head = make("div", "ante-row ante-head");
  head.append(title);
  if (place.close) {
    const close = makeButton("Close");
    close.addEventListener("click", place.close);
    head.append(close);
  }
  const note = make("p", "ante-notice", place.note || "");
  note.hidden = !place.note;
  const body = make("div", "ante-body");
  body.hidden = true;
  const turn = turnBox(act, place);
  const prompt = promptBox(act, place, say);
  const usage = usageLine();
  const bar = contextBar();
  const select = selector(act);
  const heading = make("h4", "", "Provider and model");
  body.append(turn.root, prompt.form, make("h4", "", "Session"), usage.line, bar.root, heading, select.root);
  root.append(head, note, status, body);
  el.append(root);

  let state = {};
  listen((message) => {
    if (message.kind === "state") {
      if (body.hidden) say("", true);
      state = { ...state, ...message.state };
      body.hidden = false;
      if ((passing && !state.running) || (passing === "steer" && !state.queued?.length)) say("", true);
      for (const part of [turn, prompt, usage, select]) part.update(state);
      bar.update(state.context);
    } else if (message.kind === "answer") {
      const asked = waiting.get(message.n);
      const ofTurn = message.ok && ["stop", "steer", "unqueue"].includes(asked?.kind);
      if (ofTurn && asked.kind === "stop" && !state.running) say("", true); // it has stopped already
      else say(message.text, message.ok);
      if (ofTurn && state.running) passing = asked.kind;
      asked?.resolve(message);
      waiting.delete(message.n);
    } else if (message.kind === "lost") {
      body.hidden = true;
      state = {};
      say("The kernel has ended, and the panel with it. Run the cell again to have it back.", false);
    }
  });
  const timer = setInterval(() => state.running && turn.tick(), 1000);
  send({ kind: "ready", local: isLocalPage() });
  return () => {
    clearInterval(timer);
    root.remove();
  };
}

// A saved notebook keeps a line that stands for the panel, as an output of its own: where a kernel of a later day
// does not know the widget, JupyterLab shows nothing of an output but an error. While the panel is there, it is hidden.
function twinOf(el) {
  const own = el.closest(".jp-OutputArea-child");
  const twin = own?.previousElementSibling;
  return twin?.querySelector(".ante-panel-twin") ? twin : null;
}

// Below a cell, as an anywidget. Our extension, where the page has it, can add cells from there, too.
function render({ model, el }) {
  const insert = globalThis.anteNb?.insert;
  const place = { title: "", prompt: insert && ((text) => insert(el, text)) };
  let take = () => {};
  const listener = (message) => take(message);
  model.on("msg:custom", listener);
  const end = mount({ el, send: (message) => model.send(message), listen: (callback) => (take = callback), place });
  const kernel = model.widget_manager?.kernel;
  const onStatus = (_, status) => {
    if (["dead", "restarting", "autorestarting", "terminating"].includes(status)) take({ kind: "lost" });
  };
  kernel?.statusChanged?.connect(onStatus);
  // It is put into the page only after this, and lives once a kernel has told it something.
  let twin = null;
  const placed = new ResizeObserver(() => {
    twin ??= twinOf(el);
    if (twin) twin.style.display = el.querySelector(".ante-body:not([hidden])") ? "none" : "";
  });
  placed.observe(el);
  return () => {
    placed.disconnect();
    if (twin) twin.style.display = "";
    kernel?.statusChanged?.disconnect(onStatus);
    model.off("msg:custom", listener);
    end();
  };
}

export { mount };
export default { render };

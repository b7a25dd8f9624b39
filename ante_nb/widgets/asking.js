// What approval and question cards share. All text is set as text, never as HTML.

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}

function button(words, main) {
  const element = make("button", main ? "ante-button ante-main" : "ante-button", words);
  element.type = "button";
  return element;
}

// Milliseconds in which a card takes no click: one that was meant for what stood there before.
const SETTLING = 400;
// Milliseconds for the kernel to take an answer.
const PATIENCE = 8000;
const CHORD = "Alt+Shift+A";

// The frame of a card that waits for an answer: heading, live region, focus, the life of the kernel.
function asking({ model, el }, kind) {
  const id = `ante-${Math.random().toString(36).slice(2)}`;
  const card = make("section", `ante-card ante-ask ante-${kind}`);
  card.setAttribute("role", "group");
  card.setAttribute("aria-labelledby", `${id}-title`);
  card.setAttribute("aria-keyshortcuts", CHORD);
  card.tabIndex = -1;
  const title = make("h3", "", model.get("label"));
  title.id = `${id}-title`;
  const body = make("div", "ante-body");
  const state = make("p", "ante-state");
  state.setAttribute("role", "status");
  state.setAttribute("aria-live", "polite");
  const hint = make("span", "ante-faint ante-hint");
  const foot = make("div", "ante-row ante-foot");
  foot.append(state, hint);
  // Told once, when it comes; a text that is there from the start would not be read out.
  const alert = make("p", "ante-unseen");
  alert.setAttribute("role", "alert");
  card.append(title, body, foot, alert);
  el.append(card);

  let open = true;
  let sent = 0;
  let before = null;
  const controls = () => card.querySelectorAll("button, input, textarea");

  function enable(on) {
    for (const control of controls()) control.disabled = !on;
  }

  // Where the focus was before it came here, or the cell: whoever answers by keyboard must not lose it.
  function leave() {
    if (!card.contains(document.activeElement)) return;
    const cell = card.closest(".jp-Cell");
    const target = before?.isConnected ? before : cell;
    target?.focus({ preventScroll: true });
    if (card.contains(document.activeElement)) document.activeElement.blur();
  }
  card.addEventListener("focusin", (event) => {
    const from = event.relatedTarget;
    // Whoever came by Tab from outside the notebook goes on in it.
    if (from && !card.contains(from) && card.closest(".jp-Notebook")?.contains(from)) before = from;
  });

  function say(words, problem) {
    state.textContent = words;
    state.classList.toggle("ante-problem", !!problem);
  }

  function closed(words) {
    open = false;
    clearTimeout(sent);
    leave();
    enable(false);
    card.dataset.state = "done";
    say(words, true);
  }

  function send(content) {
    if (!open) return;
    leave();
    enable(false);
    say("Sent");
    model.send(content);
    sent = setTimeout(() => {
      if (model.get("state") !== "waiting") return;
      enable(true);
      say("The kernel has not taken the answer yet; you may send it again, or interrupt the kernel", true);
    }, PATIENCE);
  }

  function update() {
    if (model.get("state") === "waiting") return;
    closed(model.get("message"));
    state.classList.remove("ante-problem");
  }

  function lost() {
    if (open) closed("The kernel has ended, and this question with it. Run the cell again.");
  }

  const kernel = model.widget_manager?.kernel;
  const onStatus = (_, status) => {
    if (["dead", "restarting", "autorestarting", "terminating"].includes(status)) lost();
  };
  kernel?.statusChanged?.connect(onStatus);

  const onChord = (event) => {
    const wanted = event.altKey && event.shiftKey && !event.ctrlKey && !event.metaKey && event.code === "KeyA";
    if (!wanted || !open || !card.isConnected || card.offsetParent === null) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (card.contains(document.activeElement)) return;
    before = document.activeElement === document.body ? null : document.activeElement;
    card.focus({ preventScroll: true });
    card.scrollIntoView({ block: "nearest" });
  };
  document.addEventListener("keydown", onChord, true);

  const isField = (target) => /^(INPUT|TEXTAREA)$/.test(target.tagName) && !/^(radio|checkbox)$/.test(target.type);
  card.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      event.preventDefault();
      event.stopPropagation();
      leave();
    }
  });
  for (const type of ["keydown", "keyup", "keypress", "paste", "contextmenu"])
    card.addEventListener(type, (event) => isField(event.target) && event.stopPropagation());

  return {
    id, card, body, hint, send, say, isField,
    isOpen: () => open,
    // To be called last: the card is whole and answers can come.
    start(spoken) {
      hint.textContent = `${CHORD} leads here, Esc away`;
      say("The turn waits for your answer");
      card.dataset.state = "waiting";
      // Keys belong to the card while it has the focus: a letter is no command of the notebook. JupyterLab's
      // bindings mean the element with the focus itself, so each needs the mark.
      for (const element of [card, ...card.querySelectorAll("*")]) element.dataset.lmSuppressShortcuts = "true";
      enable(false);
      const settle = setTimeout(() => open && enable(true), SETTLING);
      const tell = setTimeout(() => (alert.textContent = `${spoken}. ${CHORD} leads to the answer.`), 100);
      model.on("change:state", update);
      update();
      model.send({ kind: "ready" });
      return () => {
        for (const timer of [settle, tell, sent]) clearTimeout(timer);
        leave();
        document.removeEventListener("keydown", onChord, true);
        kernel?.statusChanged?.disconnect(onStatus);
        model.off("change:state", update);
      };
    },
  };
}

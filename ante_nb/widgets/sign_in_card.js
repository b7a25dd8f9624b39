// The sign-in card. All text is set as text, never as HTML. What is pasted is sent as a message and cleared:
// a synced trait would be saved with the notebook.

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // No clipboard API on pages that come over plain http from another host.
    const field = make("textarea");
    field.value = text;
    field.style.position = "fixed";
    field.style.opacity = "0";
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    return done;
  }
}

// Whether the page comes from the machine that the browser runs on; null where its address does not say so.
function isLocal() {
  if (!/^https?:$/.test(location.protocol) || /vscode|googleusercontent/.test(location.hostname)) return null;
  return /^(localhost|.*[.]localhost|127[.].*|\[::1\])$/.test(location.hostname);
}

function clock(seconds) {
  const whole = Math.max(0, Math.ceil(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")} left`;
}

function render({ model, el }) {
  const ids = `ante-${Math.random().toString(36).slice(2)}`;
  const card = make("section", "ante-card");
  card.setAttribute("role", "group");
  const title = make("h3", "");

  const open = make("div", "ante-part");
  const words = make("p", "");
  const row = make("div", "ante-row");
  const link = make("a", "ante-button ante-main", "Open the sign-in page");
  link.target = "_blank";
  link.rel = "noopener noreferrer";
  const copyLink = make("button", "ante-button", "Copy link");
  row.append(link, copyLink);
  open.append(words, row);

  const device = make("div", "ante-part");
  const codeRow = make("div", "ante-row");
  const code = make("code", "ante-code");
  code.tabIndex = 0;
  code.setAttribute("role", "text");
  const copyCode = make("button", "ante-button", "Copy code");
  codeRow.append(code, copyCode);
  device.append(make("p", "", "Type this code there:"), codeRow);

  const form = make("form", "ante-part");
  const label = make("label", "");
  label.htmlFor = `${ids}-paste`;
  const field = make("input");
  field.id = `${ids}-paste`;
  field.type = "text";
  field.autocomplete = "off";
  field.spellcheck = false;
  field.placeholder = "http://localhost… or the code";
  const submit = make("button", "ante-button", "Continue");
  submit.type = "submit";
  submit.disabled = true;
  const formRow = make("div", "ante-row");
  formRow.append(field, submit);
  const labelRow = make("p", "");
  labelRow.append(label);
  form.append(labelRow, formRow);

  const foot = make("div", "ante-row ante-foot");
  const state = make("p", "ante-state");
  state.setAttribute("role", "status");
  state.setAttribute("aria-live", "polite");
  const left = make("span", "ante-faint");
  // Read out every second, it would drown what matters.
  left.setAttribute("aria-hidden", "true");
  const cancel = make("button", "ante-button", "Cancel");
  foot.append(state, left, cancel);
  for (const button of [copyLink, copyCode, cancel]) button.type = "button";

  card.append(title, open, device, form, foot);
  // Keys belong to the card while it has the focus: a letter is no command of the notebook. JupyterLab's
  // bindings mean the element with the focus itself, so each needs the mark.
  for (const element of [card, ...card.querySelectorAll("*")]) element.dataset.lmSuppressShortcuts = "true";
  el.append(card);

  let deadline = 0;
  const running = () => ["waiting", "exchanging", "starting"].includes(model.get("state"));

  function tick() {
    const seconds = (deadline - performance.now()) / 1000;
    left.hidden = !running() || deadline === 0;
    left.textContent = clock(seconds);
  }

  function update() {
    const now = model.get("state");
    const way = model.get("way");
    const address = model.get("link");
    const waiting = now === "waiting";
    card.dataset.state = now;
    card.setAttribute("aria-label", model.get("label"));
    title.textContent = model.get("label");
    const usable = /^https?:[/][/]/.test(address);
    if (usable) link.href = address;
    else link.removeAttribute("href");
    open.hidden = !(waiting && usable);
    words.textContent =
      way === "device"
        ? "Open this page, in any browser on any device:"
        : "Open the vendor's page and sign in there; it opens in a new tab.";
    code.textContent = model.get("user_code");
    code.setAttribute("aria-label", `code ${[...model.get("user_code")].join(" ")}`);
    device.hidden = !(waiting && model.get("user_code"));
    label.textContent =
      way === "paste"
        ? "Then paste the code that it shows, or the address of the page you end on (also one that cannot be opened):"
        : "If the last page cannot be opened or shows a code, paste its address or the code:";
    form.hidden = !(waiting && model.get("accepts_paste"));
    state.textContent = model.get("message");
    state.classList.toggle("ante-problem", model.get("problem"));
    cancel.hidden = !running();
  }

  function restart() {
    const seconds = model.get("seconds_left");
    deadline = seconds > 0 ? performance.now() + seconds * 1000 : 0;
    tick();
  }

  async function offer(button, text) {
    const before = button.textContent;
    button.textContent = (await copy(text)) ? "Copied" : "Select it and copy";
    setTimeout(() => (button.textContent = before), 2000);
  }
  copyLink.addEventListener("click", () => offer(copyLink, model.get("link")));
  copyCode.addEventListener("click", () => offer(copyCode, model.get("user_code")));
  cancel.addEventListener("click", () => {
    cancel.disabled = true;
    model.send({ kind: "cancel" });
  });
  field.addEventListener("input", () => (submit.disabled = !field.value.trim()));
  for (const kind of ["keydown", "keyup", "keypress", "paste", "contextmenu"])
    field.addEventListener(kind, (event) => event.stopPropagation());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = field.value.trim();
    if (!text) return;
    field.value = "";
    submit.disabled = true;
    model.send({ kind: "paste", text });
  });

  const names = ["label", "state", "message", "problem", "way", "link", "user_code", "accepts_paste"];
  for (const name of names) model.on(`change:${name}`, update);
  model.on("change:seconds_left", restart);
  const timer = setInterval(tick, 1000);
  update();
  restart();
  model.send({ kind: "ready", local: isLocal() });
  return () => {
    clearInterval(timer);
    for (const name of names) model.off(`change:${name}`, update);
    model.off("change:seconds_left", restart);
  };
}

export default { render };

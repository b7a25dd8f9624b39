// The selector: provider, model, levels and rules, sign-in and keys. `act(kind, data)` asks the kernel.

function signInBox(act) {
  const box = make("section", "ante-part ante-box");
  box.setAttribute("aria-label", "Sign in");
  const words = make("p", "");
  const row = make("div", "ante-row");
  const link = make("a", "ante-button ante-main", "Open the sign-in page");
  link.target = "_blank";
  link.rel = "noopener noreferrer";
  const copy = makeButton("Copy link");
  row.append(link, copy);
  const code = make("code", "ante-code");
  code.tabIndex = 0;
  const form = make("form", "ante-row");
  const input = make("input");
  input.type = "text";
  input.autocomplete = "off";
  input.spellcheck = false;
  input.setAttribute("aria-label", "Code, or the address of the last page");
  input.placeholder = "code, or the address of the last page";
  const submit = makeButton("Continue");
  submit.type = "submit";
  form.append(input, submit);
  const cancel = makeButton("Cancel");
  const foot = make("div", "ante-row");
  foot.append(cancel);
  box.append(words, row, code, form, foot);
  let address = "";
  copy.addEventListener("click", async () => {
    copy.textContent = (await copyText(address)) ? "Copied" : "Right-click the link to copy it";
    setTimeout(() => (copy.textContent = "Copy link"), 2000);
  });
  cancel.addEventListener("click", () => act("cancel_login"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = input.value.trim();
    input.value = "";
    if (text) act("paste", { text });
  });
  return {
    box,
    update(login) {
      box.hidden = !login;
      if (!login) return void (input.value = address = "");
      setText(words, `${login.name}: ${login.message}`);
      words.classList.toggle("ante-problem", !!login.problem);
      address = /^https?:[/][/]/.test(login.link) ? login.link : "";
      row.hidden = !address;
      if (address) link.href = address;
      else link.removeAttribute("href");
      setText(code, login.user_code);
      code.hidden = !login.user_code;
      form.hidden = !login.accepts_paste;
    },
  };
}

function keyBox(act) {
  const form = make("form", "ante-part ante-box");
  const input = make("input");
  input.type = "password";
  // No browser may keep it: it has a store of its own.
  input.autocomplete = "new-password";
  const field = makeField("API key", input);
  const row = make("div", "ante-row");
  const submit = makeButton("Store key", "ante-main");
  submit.type = "submit";
  const cancel = makeButton("Cancel");
  row.append(submit, cancel);
  form.append(field.box, row);
  form.hidden = true;
  let provider = null;
  const close = () => {
    input.value = "";
    form.hidden = true;
  };
  cancel.addEventListener("click", close);
  input.addEventListener("keydown", (event) => event.key === "Escape" && close());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const key = input.value;
    close();
    if (key.trim()) act("key", { provider: provider.id, key });
  });
  return {
    box: form,
    close,
    open(row) {
      provider = row;
      setText(form.querySelector("label"), `API key for ${row.name}`);
      setText(field.note, row.key_page ? `from ${row.key_page}; it is not shown and not saved in the notebook` : "it is not shown and not saved in the notebook");
      form.hidden = false;
      input.focus();
    },
  };
}

function selector(act) {
  const root = make("section", "ante-selector");
  root.setAttribute("aria-label", "Provider and model");
  const keep = make("input");
  keep.type = "checkbox";
  const choose = (what, value) => act("choose", { what, value, save: keep.checked });

  const problem = make("p", "ante-problem-box");
  problem.setAttribute("role", "alert");
  const provider = makeField("Provider", make("select"));
  provider.control.addEventListener("change", () => {
    keys.close();
    choose("provider", provider.control.value);
  });
  const ways = make("div", "ante-row");
  const enter = makeButton("Enter key");
  const forget = makeButton("Delete key");
  const signIn = makeButton("Sign in");
  const signOut = makeButton("Sign out");
  ways.append(enter, forget, signIn, signOut);
  const keys = keyBox(act);
  const login = signInBox(act);

  const model = modelBox((id) => choose("model", id));
  const modelRow = make("div", "ante-row");
  const list = makeButton("Ask the server for its models");
  const load = makeButton("Load");
  const unload = makeButton("Unload");
  modelRow.append(list, load, unload);
  const busy = make("div", "ante-row ante-busy");
  const busyWords = make("p", "ante-state");
  const cancel = makeButton("Cancel");
  busy.append(busyWords, cancel);

  const picks = ["thinking", "openai_transport", "mode", "data_policy"].map((name) => {
    const words = { thinking: "Thinking", openai_transport: "Transport", mode: "Permissions", data_policy: "Data" };
    const field = makeField(words[name], make("select"));
    field.control.addEventListener("change", () => choose(name, field.control.value));
    return { name, ...field };
  });
  const address = make("p", "ante-faint ante-address");
  const keepRow = make("label", "ante-row ante-keep");
  keepRow.append(keep, make("span", "", "Also keep what I choose in settings.json"));
  keep.addEventListener("change", () => keep.checked && act("save"));
  const notices = make("ul", "ante-notices");

  const grid = make("div", "ante-grid");
  grid.append(...picks.map((pick) => pick.box));
  root.append(problem, provider.box, ways, keys.box, login.box, model.box, modelRow, busy, grid, address, keepRow, notices);

  let row = null;
  let ident = "";
  let chosenModel = "";
  enter.addEventListener("click", () => row && keys.open(row));
  forget.addEventListener("click", () => row && act("forget_key", { provider: row.id }));
  signIn.addEventListener("click", () => row && act("login", { provider: row.id, local: isLocalPage() }));
  signOut.addEventListener("click", () => row && act("logout", { provider: row.id }));
  list.addEventListener("click", () => act("live", { provider: ident }));
  load.addEventListener("click", () => act("local_start", { model: chosenModel }));
  unload.addEventListener("click", () => act("local_stop", { model: chosenModel }));
  cancel.addEventListener("click", () => act("cancel"));

  function updateProvider(state) {
    const rows = state.providers || [];
    ident = state.provider?.value || "";
    row = rows.find((item) => item.id === ident) || null;
    const group = (label, states) => ({
      label,
      options: rows
        .filter((item) => states.includes(item.state))
        .map((item) => ({ value: item.id, text: `${item.name}: ${item.words}` })),
    });
    const groups = [
      group("Signed in", ["environment", "stored", "signed in"]),
      group("Open", ["open"]),
      group("Not signed in", ["none", "broken", "forbidden"]),
    ];
    if (!row) groups.unshift({ options: [{ value: ident, text: ident || "none chosen" }] });
    if (state.provider?.chosen) groups.push({ options: [{ value: "", text: "Take the choice back" }] });
    fillSelect(provider.control, groups, ident);
    const other = state.provider?.in_use && state.provider.in_use !== ident ? `sent to ${state.provider.in_use}` : "";
    const source = state.provider?.source ? `from ${state.provider.source}` : "";
    setText(provider.note, [row?.words, other, source].filter(Boolean).join(" · "));
    enter.hidden = !row?.takes_key;
    enter.textContent = row?.stored_key ? "Replace key" : "Enter key";
    forget.hidden = !row?.stored_key;
    signIn.hidden = !row?.sign_in || row.signed_in || !!state.login;
    signOut.hidden = !row?.sign_in || !row.signed_in;
    ways.hidden = [enter, forget, signIn, signOut].every((button) => button.hidden);
  }

  function updatePick({ name, box, control, note }, state) {
    const found = state[name === "openai_transport" ? "transport" : name];
    box.hidden = !found;
    if (!found) return;
    const options = found.options.map(({ value, words }) => ({ value, text: words ? `${value} (${words})` : value }));
    const known = options.some(({ value }) => value === found.value);
    if (!known) options.unshift({ value: found.value, text: found.value || "default: nothing is sent" });
    if (found.chosen && found.value !== "") options.push({ value: "", text: "take the choice back" });
    const none = name === "thinking" && !found.options.length;
    fillSelect(control, [{ options: none ? [{ value: "", text: state.problem ? "known once the provider can be used" : "this model has no levels" }] : options }], found.value);
    control.disabled = none;
    const more = [found.in_use ? `in use: ${found.in_use}` : "", found.words && found.words !== found.value ? found.words : ""];
    setText(note, [...more, found.source ? `from ${found.source}` : ""].filter(Boolean).join(" · "));
  }

  return {
    root,
    update(state) {
      setText(problem, state.problem || "");
      problem.hidden = !state.problem;
      updateProvider(state);
      login.update(state.login);
      model.update(state);
      chosenModel = state.model?.value || "";
      const now = (state.models || []).find((item) => item.id === chosenModel);
      list.hidden = !state.can_list;
      load.hidden = !(state.local && now && !now.loaded && !now.warn);
      unload.hidden = !(state.local && now?.loaded);
      list.disabled = load.disabled = unload.disabled = !!state.busy;
      modelRow.hidden = [list, load, unload].every((button) => button.hidden);
      busy.hidden = !state.busy;
      setText(busyWords, state.busy?.words || "");
      for (const pick of picks) updatePick(pick, state);
      const lines = [state.base_url ? `Base URL: ${state.base_url}` : "", state.credential ? `Credential: ${state.credential}` : ""];
      setText(address, lines.filter(Boolean).join("\n"));
      notices.replaceChildren(...(state.notices || []).map((text) => make("li", "", text)));
    },
  };
}

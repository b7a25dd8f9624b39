// The approval card. What would run is shown as text in elements of our own making.

const VERDICTS = { safe: "reads", unknown: "unknown", dangerous: "dangerous" };

function codeBlock(block) {
  const pre = make("pre", "ante-what");
  const code = make("code");
  for (const [kind, text] of block.tokens) code.append(kind ? make("span", `ante-${kind}`, text) : text);
  pre.append(code);
  return pre;
}

function diffBlock(block) {
  const pre = make("pre", "ante-what ante-diff");
  const names = { "+": "ante-added", "-": "ante-removed", "@": "ante-place" };
  for (const [mark, text] of block.lines) pre.append(make("span", `ante-line ${names[mark] || ""}`, `${text}\n`));
  return pre;
}

function stagesBlock(block) {
  const list = make("ol", "ante-stages");
  for (const [text, verdict, why] of block.rows) {
    const row = make("li", `ante-stage ante-stage-${verdict}`);
    row.append(make("code", "", text), " ", make("span", "ante-faint", verdict === "dangerous" ? `dangerous: ${why}` : why || VERDICTS[verdict]));
    list.append(row);
  }
  return list;
}

function textBlock(block) {
  return make("pre", "ante-what", block.text);
}

const BLOCKS = { code: codeBlock, diff: diffBlock, stages: stagesBlock, text: textBlock };

function render({ model, el }) {
  const frame = asking({ model, el }, "approval");
  const { card, body, id } = frame;
  const reason = model.get("reason");
  const grant = model.get("grant");

  const why = make("p", "ante-why");
  why.id = `${id}-why`;
  const summary = make("span", "ante-summary", `${model.get("summary")} `);
  // A one-line command stands below in full; the summary is then for those who do not see it.
  const [first] = model.get("blocks");
  const code = first?.kind === "code" ? first.tokens.map(([, text]) => text).join("").trim() : null;
  if (code !== null && model.get("summary").includes(code)) summary.className = "ante-unseen";
  why.append(summary);
  if (reason) why.append(make("span", "ante-faint", `Asked because: ${reason}`));
  card.setAttribute("aria-describedby", why.id);
  body.append(why);
  for (const block of model.get("blocks")) {
    const made = (BLOCKS[block.kind] || textBlock)(block);
    made.setAttribute("role", "region");
    made.setAttribute("aria-label", block.label);
    if (block.kind === "stages") made.setAttribute("role", "list");
    body.append(made);
  }

  const answer = (word, feedback) => frame.send({ kind: "answer", answer: word, feedback: feedback || "" });
  const row = make("div", "ante-row");
  const keys = {};
  const offer = (words, key, word, main) => {
    const made = button(words, main);
    made.setAttribute("aria-keyshortcuts", key);
    made.dataset.key = key;
    // The second click of a double click was meant for something else.
    made.addEventListener("click", (event) => event.detail < 2 && answer(word));
    keys[key] = made;
    row.append(made);
    return made;
  };
  offer("Allow once", "y", "once", true);
  if (grant) {
    const rule = make("p", "ante-faint ante-rule");
    rule.id = `${id}-rule`;
    rule.append("For this session adds the rule ", make("code", "", grant), "; always saves it in settings.json.");
    for (const made of [offer("Allow for this session", "s", "session"), offer("Always allow", "a", "always")])
      made.setAttribute("aria-describedby", rule.id);
    body.append(row, rule);
  } else body.append(row);

  const form = make("form", "ante-row ante-no");
  const field = make("input");
  field.type = "text";
  field.maxLength = 4000;
  field.autocomplete = "off";
  field.placeholder = "a word to the model (optional)";
  field.setAttribute("aria-label", "A word to the model, sent with Deny");
  const deny = button("Deny");
  deny.type = "submit";
  deny.setAttribute("aria-keyshortcuts", "n");
  deny.dataset.key = "n";
  keys.n = deny;
  form.append(field, deny);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    answer("deny", field.value);
  });
  body.append(form);

  card.addEventListener("keydown", (event) => {
    if (frame.isField(event.target) || event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
    const made = Object.hasOwn(keys, event.key.toLowerCase()) && keys[event.key.toLowerCase()];
    if (!made || made.disabled) return;
    event.preventDefault();
    event.stopPropagation();
    made.click();
  });

  // What can be scrolled must be reachable by keyboard.
  const scrolls = new ResizeObserver(() => {
    for (const block of card.querySelectorAll(".ante-what")) {
      if (block.scrollHeight > block.clientHeight + 1) block.tabIndex = 0;
      else block.removeAttribute("tabindex");
    }
  });
  for (const block of card.querySelectorAll(".ante-what")) scrolls.observe(block);

  const stop = frame.start(`${model.get("label")} ${model.get("summary")}`);
  return () => {
    scrolls.disconnect();
    stop();
  };
}

export default { render };

// The model box: lists what is known of the provider's models, and takes any id that is typed.

function modelBox(choose) {
  const input = make("input");
  input.type = "text";
  input.autocomplete = "off";
  input.spellcheck = false;
  input.setAttribute("role", "combobox");
  input.setAttribute("aria-autocomplete", "list");
  input.setAttribute("aria-expanded", "false");
  const list = make("ul", "ante-list");
  list.id = uid();
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "Models");
  list.hidden = true;
  input.setAttribute("aria-controls", list.id);
  const field = makeField("Model", input);
  input.after(list);

  let models = [];
  let value = "";
  let active = -1;
  let typed = false;

  const details = (model) =>
    [
      model.context,
      model.price,
      model.vision === true ? "images" : model.vision === false ? "no images" : "",
      model.note,
    ].filter(Boolean);
  const shown = () => {
    const words = typed ? input.value.trim().toLowerCase() : "";
    return models.filter((model) => model.id.toLowerCase().includes(words));
  };

  function draw() {
    const found = shown();
    active = Math.min(active, found.length - 1);
    list.replaceChildren(
      ...found.map((model, at) => {
        const item = make("li", "ante-option");
        item.id = `${list.id}-${at}`;
        item.setAttribute("role", "option");
        item.setAttribute("aria-selected", String(model.id === value));
        item.classList.toggle("ante-active", at === active);
        const note = make("span", model.warn ? "ante-faint ante-warn" : "ante-faint", details(model).join(" · "));
        item.append(make("span", "ante-name", model.id), note);
        item.addEventListener("mousedown", (event) => {
          event.preventDefault(); // the input keeps the focus
          pick(model.id);
        });
        return item;
      }),
    );
    if (active >= 0) {
      input.setAttribute("aria-activedescendant", `${list.id}-${active}`);
      list.children[active].scrollIntoView({ block: "nearest" });
    } else input.removeAttribute("aria-activedescendant");
  }
  function open() {
    list.hidden = !models.length;
    input.setAttribute("aria-expanded", String(!list.hidden));
    draw();
    if (!list.hidden) list.scrollIntoView({ block: "nearest" });
  }
  function close() {
    list.hidden = true;
    active = -1;
    typed = false;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
    input.value = value;
  }
  function pick(id) {
    value = id || value;
    close();
    choose(id);
  }

  input.addEventListener("click", () => list.hidden && open());
  input.addEventListener("input", () => {
    typed = true;
    active = -1;
    open();
  });
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    const move = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (move) {
      event.preventDefault();
      if (list.hidden) open();
      const count = list.children.length;
      active = count ? (active + move + (active < 0 && move < 0 ? 1 : 0) + count) % count : -1;
      draw();
    } else if (event.key === "Enter") {
      event.preventDefault();
      const found = shown();
      if (!list.hidden && active >= 0) pick(found[active].id);
      else if (typed) pick(input.value.trim());
      else close();
    } else if (event.key === "Escape" && !list.hidden) {
      event.preventDefault();
      event.stopPropagation();
      close();
    }
  });

  return {
    ...field,
    update(state) {
      models = state.models || [];
      value = state.model?.value || "";
      if (document.activeElement !== input || !typed) input.value = value;
      const current = models.find((model) => model.id === value);
      input.placeholder = models.length ? "the first one" : "any model id";
      const words = [...(current ? details(current) : []), state.model?.source ? `from ${state.model.source}` : ""];
      setText(field.note, words.filter(Boolean).join(" · "));
      field.note.classList.toggle("ante-warn", !!current?.warn);
      if (!list.hidden) draw();
    },
  };
}

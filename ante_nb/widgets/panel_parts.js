// The panel's parts. They are joined into one module by the kernel; what a person reads is set as text, never
// as HTML, and what is typed goes out as a message and is kept nowhere.

let serial = 0;
const uid = () => `ante-${++serial}-${Math.random().toString(36).slice(2, 8)}`;

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}

function makeButton(words, className = "") {
  const button = make("button", `ante-button ${className}`, words);
  button.type = "button";
  return button;
}

// A control with its label above and a line below that says where the value comes from.
function makeField(words, control) {
  const box = make("div", "ante-field");
  const label = make("label", "", words);
  control.id ||= uid();
  label.htmlFor = control.id;
  const note = make("p", "ante-faint");
  note.id = uid();
  control.setAttribute("aria-describedby", note.id);
  box.append(label, control, note);
  return { box, control, note };
}

// Fill a select only where something is new: an open list would close.
function fillSelect(select, groups, value) {
  const key = JSON.stringify([groups, value]);
  if (select.dataset.shown === key) return;
  select.dataset.shown = key;
  select.replaceChildren(
    ...groups.flatMap(({ label, options }) => {
      const items = options.map((option) => {
        const item = make("option", "", option.text);
        item.value = option.value;
        return item;
      });
      if (!label || !items.length) return items;
      const group = make("optgroup");
      group.label = label;
      group.append(...items);
      return [group];
    }),
  );
  select.value = value;
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false; // no clipboard on pages that come over plain http from another host
  }
}

const number = (value) => Number(value || 0).toLocaleString("en-US");

// Whether the page comes from the machine that the browser runs on; null where its address does not say so.
function isLocalPage() {
  if (!/^https?:$/.test(location.protocol) || /vscode|googleusercontent/.test(location.hostname)) return null;
  return /^(localhost|.*[.]localhost|127[.].*|\[::1\])$/.test(location.hostname);
}

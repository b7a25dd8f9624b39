// The question card: what is chosen and typed goes out as one message and is in no trait.

function render({ model, el }) {
  const frame = asking({ model, el }, "question");
  const { body, id } = frame;
  const form = make("form", "");
  const rows = model.get("questions").map((asked, number) => {
    const set = make("fieldset", "ante-question-set");
    const legend = make("legend");
    if (asked.header) legend.append(make("span", "ante-faint", `${asked.header} `));
    legend.append(asked.question);
    set.append(legend);
    const boxes = asked.options.map((option, at) => {
      const label = make("label", "ante-option");
      const box = make("input");
      box.type = asked.multiple ? "checkbox" : "radio";
      box.name = `${id}-${number}`;
      box.value = String(at);
      label.append(box, make("span", "", option));
      set.append(label);
      return box;
    });
    let words = null;
    if (asked.free) {
      words = make("textarea");
      words.rows = asked.options.length ? 1 : 2;
      words.maxLength = 4000;
      words.placeholder = asked.options.length ? "or your own words" : "your answer";
      words.setAttribute("aria-label", asked.options.length ? "Your own words" : asked.question);
      set.append(words);
      // One answer only: what is typed takes the place of what was chosen, and the other way round.
      if (!asked.multiple) {
        words.addEventListener("input", () => words.value.trim() && boxes.forEach((box) => (box.checked = false)));
        boxes.forEach((box) => box.addEventListener("change", () => (words.value = "")));
      }
      words.addEventListener("keydown", (event) => {
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
          event.preventDefault();
          form.requestSubmit();
        }
      });
    }
    form.append(set);
    return { boxes, words };
  });
  const row = make("div", "ante-row");
  const submit = button("Answer", true);
  submit.type = "submit";
  const decline = button("Give no answer");
  row.append(submit, decline);
  form.append(row);
  body.append(form);

  const chosen = ({ boxes }) => boxes.filter((box) => box.checked).map((box) => Number(box.value));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const answers = rows.map((one) => ({ chosen: chosen(one), words: one.words ? one.words.value : "" }));
    if (!answers.some((answer) => answer.chosen.length || answer.words.trim())) {
      frame.say("Nothing is chosen or typed yet", true);
      return;
    }
    frame.send({ kind: "answer", answers });
  });
  decline.addEventListener("click", (event) => event.detail < 2 && frame.send({ kind: "decline" }));

  return frame.start(`${model.get("label")}: ${model.get("questions").map((asked) => asked.question).join(" ")}`);
}

export default { render };

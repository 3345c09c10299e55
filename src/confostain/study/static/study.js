// Page of the reader study: one field after the other with its questions. Only the server knows the arm of a field.

const byId = (id) => document.getElementById(id);
const ZOOMS = [1, 1.5, 2, 3, 4];
const state = { field: null, shownAt: 0, zoom: 0, current: 0, sending: false };

async function ask(path, options) {
  const response = await fetch(path, { cache: "no-store", ...options });
  if (!response.ok) throw new Error(`status ${response.status}`);
  return response.json();
}

function say(title, text, button, act) {
  byId("message").hidden = false;
  byId("questions").replaceChildren();
  byId("image").classList.add("waiting");
  const [heading, paragraph] = byId("message").children;
  heading.textContent = title;
  paragraph.textContent = text;
  byId("begin").hidden = !button;
  byId("begin").textContent = button ?? "";
  byId("begin").onclick = act;
  if (button) byId("begin").focus();
}

function showProgress(answered, total) {
  byId("count").textContent = `${answered} of ${total}`;
  Object.assign(byId("progress"), { max: Math.max(total, 1), value: answered });
}

async function start() {
  const study = await ask("/api/study");
  byId("title").textContent = study.title;
  document.title = study.title;
  showProgress(study.answered, study.total);
  if (study.total === 0) say(study.title, "There are no fields.");
  else if (study.answered === 0) say(study.title, study.introduction ?? "", "Begin", next);
  else say(study.title, `You have answered ${study.answered} of ${study.total} fields.`, "Go on", next);
}

async function next() {
  const field = await ask("/api/study/next");
  byId("message").hidden = true;
  if (field.done) {
    showProgress(field.total, field.total);
    say("That was the last field", "Your answers are saved. Thank you.");
    return;
  }
  Object.assign(state, { field, current: 0, zoom: 0 });
  showProgress(field.answered, field.total);
  byId("field").style.setProperty("--zoom", 1);
  await showImage(field);
  byId("questions").replaceChildren(...field.questions.map(questionOf), ...comment(field), nextButton());
  byId("field").focus();
  state.shownAt = performance.now();
  mark();
}

function showImage(field) {
  const image = byId("image");
  image.classList.add("waiting");
  image.alt = `Field ${field.number} of ${field.total}`;
  return new Promise((resolve, reject) => {
    image.onload = () => {
      image.classList.remove("waiting");
      resolve();
    };
    image.onerror = () => reject(new Error("the image did not come"));
    image.src = field.image;
  });
}

function questionOf(question, i) {
  const group = document.createElement("fieldset");
  const legend = document.createElement("legend");
  legend.textContent = question.text;
  group.append(legend, ...question.choices.map((choice, c) => {
    const label = Object.assign(document.createElement("label"), { className: "answer" });
    const input = Object.assign(document.createElement("input"), { type: "radio", name: `question-${i}`, value: choice });
    input.addEventListener("change", () => answer(i, c));
    label.append(input, Object.assign(document.createElement("kbd"), { textContent: c + 1 }), choice);
    return label;
  }));
  group.addEventListener("focusin", () => {
    state.current = i;
    mark();
  });
  return group;
}

function comment(field) {
  if (!field.comment) return [];
  const box = Object.assign(document.createElement("textarea"), { id: "comment", placeholder: "Comment (optional)", maxLength: 2000 });
  box.setAttribute("aria-label", "Comment (optional)");
  return [box];
}

function nextButton() {
  const button = Object.assign(document.createElement("button"), { type: "submit", className: "plain next", textContent: "Next field", id: "next" });
  return button;
}

const groups = () => [...byId("questions").querySelectorAll("fieldset")];
const chosen = () => groups().map((group) => group.querySelector(":checked")?.value ?? null);

function mark() {
  groups().forEach((group, i) => group.classList.toggle("now", i === state.current));
  byId("next").disabled = state.sending || chosen().includes(null);
}

/** Stores a choice and goes to the first question without an answer. */
function answer(question, choice) {
  groups()[question].querySelectorAll("input")[choice].checked = true;
  const open = chosen().indexOf(null);
  state.current = open < 0 ? question : open;
  mark();
}

async function send() {
  if (!state.field || state.sending || chosen().includes(null)) return;
  state.sending = true;
  mark();
  const answers = Object.fromEntries(state.field.questions.map((question, i) => [question.id, chosen()[i]]));
  const body = { id: state.field.id, answers, seconds: Math.round((performance.now() - state.shownAt) / 10) / 100 };
  if (state.field.comment) body.comment = byId("comment").value;
  await ask("/api/study/answers", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  state.sending = false;
  await next();
}

function zoom(step) {
  state.zoom = Math.min(ZOOMS.length - 1, Math.max(0, state.zoom + step));
  byId("field").style.setProperty("--zoom", ZOOMS[state.zoom]);
}

const failed = (error) => {
  state.sending = false;
  say("The server does not respond", `${error.message}. Answers given so far are saved.`, "Try again", () => start().catch(failed));
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.target.matches("textarea")) return;
  const choices = groups()[state.current]?.querySelectorAll("input").length ?? 0;
  if (/^[1-9]$/.test(event.key) && Number(event.key) <= choices) answer(state.current, Number(event.key) - 1);
  else if (event.key === "Enter" && !event.target.matches("button")) send().catch(failed);
  else if (event.key === "Backspace") {
    state.current = Math.max(0, state.current - 1);
    mark();
  } else if (["+", "="].includes(event.key)) zoom(1);
  else if (event.key === "-") zoom(-1);
  else if (event.key.toLowerCase() === "d") window.toggleTheme();
  else return;
  event.preventDefault();
});
byId("questions").addEventListener("submit", (event) => {
  event.preventDefault();
  send().catch(failed);
});
byId("image").addEventListener("dblclick", () => zoom(state.zoom === 0 ? 2 : -ZOOMS.length));
byId("theme").addEventListener("click", () => window.toggleTheme());
start().catch(failed);

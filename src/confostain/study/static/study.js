// Page of the reader study: one field after the other with its questions. Only the server knows the arm of a field.

const byId = (id) => document.getElementById(id);
const ZOOMS = [1, 1.5, 2, 3, 4];
const state = { field: null, shownAt: 0, zoom: 0, maxZoom: 0, zoomedAt: 0, zoomed: 0, current: 0, sending: false, feedback: false };

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
  const study = await ask("api/study");
  byId("title").textContent = study.title;
  document.title = study.title;
  showProgress(study.answered, study.total);
  if (study.total === 0) say(study.title, "There are no fields.");
  else if (study.answered === 0) say(study.title, study.introduction ?? "", "Begin", next);
  else say(study.title, `You have answered ${study.answered} of ${study.total} fields.`, "Go on", next);
}

async function next() {
  const field = await ask("api/study/next");
  showProgress(field.answered, field.total);
  if (field.done) {
    if (field.opens) say("This reading is finished", `Your answers are saved. The next reading opens on ${dateOf(field.opens)}.`);
    else say("That was the last field", "Your answers are saved. Thank you.");
    return;
  }
  const before = state.field;
  state.field = null; // keys do nothing in a pause
  const pause = before && pauseBetween(before, field);
  if (pause) say(pause[0], pause[1], "Go on", () => show(field).catch(failed));
  else await show(field);
}

const dateOf = (text) => new Date(text).toLocaleString(undefined, { dateStyle: "long", timeStyle: "short" });

/** Title and text of the pause between two fields of different parts of the study. */
function pauseBetween(before, field) {
  if (before.reading === 0 && field.reading > 0) return ["The training is finished", "From now on you are not told what is correct."];
  if (before.reading !== field.reading) return [`Reading ${before.reading} of ${field.readings} is finished`, "The same fields come again, in another order."];
  if (before.round !== field.round) return [`Round ${before.round} of ${field.rounds} is finished`, "Pause if you like."];
  return null;
}

async function show(field) {
  byId("message").hidden = true;
  Object.assign(state, { current: 0, zoom: 0, maxZoom: 0, zoomed: 0 });
  byId("field").style.setProperty("--width", `${field.width}px`);
  byId("field").style.setProperty("--zoom", 1);
  await showImage(field);
  state.field = field;
  byId("questions").replaceChildren(...field.questions.map(questionOf), ...comment(field), nextButton("Next field"));
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

const nextButton = (text) => Object.assign(document.createElement("button"), { type: "submit", className: "plain next", textContent: text, id: "next" });

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
  if (state.feedback) return goOn();
  if (!state.field || state.sending || chosen().includes(null)) return;
  state.sending = true;
  mark();
  noteZoom();
  const answers = Object.fromEntries(state.field.questions.map((question, i) => [question.id, chosen()[i]]));
  const body = {
    id: state.field.id,
    answers,
    seconds: hundredths(performance.now() - state.shownAt),
    max_zoom: ZOOMS[state.maxZoom],
    zoomed_seconds: hundredths(state.zoomed),
    pixel_ratio: window.devicePixelRatio,
  };
  if (state.field.comment) body.comment = byId("comment").value;
  const reply = await ask("api/study/answers", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  state.sending = false;
  if (reply.feedback) showFeedback(reply);
  else await next();
}

const hundredths = (milliseconds) => Math.round(milliseconds / 10) / 100;

/** What was correct, beside the field; Enter or the button goes on. */
function showFeedback(reply) {
  state.feedback = true;
  const lines = reply.feedback.flatMap(({ question, correct, right }) => [
    textOf("h2", question),
    textOf("p", right ? `Right: ${correct}` : `Not right. Correct is: ${correct}`, right ? "right" : "wrong"),
  ]);
  if (reply.explanation) lines.push(textOf("p", reply.explanation));
  const box = document.createElement("div");
  box.id = "feedback";
  box.setAttribute("role", "status");
  box.append(...lines);
  byId("questions").replaceChildren(box, nextButton("Go on"));
  byId("next").focus();
}

const textOf = (tag, text, className = "") => Object.assign(document.createElement(tag), { textContent: text, className });

async function goOn() {
  state.feedback = false;
  await next();
}

/** Adds the time since the last change of the magnification, if the field was magnified. */
function noteZoom() {
  if (state.zoom > 0) state.zoomed += performance.now() - state.zoomedAt;
  state.zoomedAt = performance.now();
}

function zoom(step) {
  noteZoom();
  state.zoom = Math.min(ZOOMS.length - 1, Math.max(0, state.zoom + step));
  state.maxZoom = Math.max(state.maxZoom, state.zoom);
  byId("field").style.setProperty("--zoom", ZOOMS[state.zoom]);
}

const failed = (error) => {
  Object.assign(state, { sending: false, feedback: false, field: null });
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

// Shows the chosen score on the submit button, and keeps in this tab what was typed until the server has it, for a day
// at most. Without this script the button reads "Send", and works too.
const DAY_MS = 86_400_000;
const PREFIX = "draft:";
const form = document.querySelector("form[data-draft]");
const keyOf = (part) => `${PREFIX}${location.pathname}:${part}`;

function read(key) {
  try {
    const draft = JSON.parse(sessionStorage.getItem(key));
    return draft && Date.now() - draft.at < DAY_MS ? draft : null;
  } catch {
    return null;
  }
}

function write(key, draft) {
  try {
    sessionStorage.setItem(key, JSON.stringify({ ...draft, at: Date.now() }));
  } catch {
    // storage is full or forbidden: the form works as without this script
  }
}

function forget(isOver) {
  try {
    Object.keys(sessionStorage).filter((key) => key.startsWith(PREFIX) && isOver(key)).forEach((key) => sessionStorage.removeItem(key));
  } catch {
    // nothing can be stored here
  }
}

const inputs = () => [...form.elements].filter((input) => input.name && input.type !== "hidden" && input.type !== "submit");
const isTick = (input) => input.type === "radio" || input.type === "checkbox";

function typed() {
  const chosen = inputs().filter((input) => !isTick(input) || input.checked);
  return chosen.map((input) => [input.name, input.value]);
}

function restore(fields) {
  for (const input of inputs()) {
    const values = fields.filter(([name]) => name === input.name).map(([, value]) => value);
    if (isTick(input)) input.checked = values.includes(input.value);
    else if (values.length) input.value = values[0];
  }
}

function showChosen() {
  const button = form.querySelector("button[data-label]");
  if (!button) return;
  const chosen = form.querySelector("input[name=score]:checked");
  button.textContent = chosen ? `${button.dataset.label} ${chosen.value}` : button.dataset.label;
}

function sayUnsent() {
  document.getElementById("unsent").hidden = false;
}

// after Back or a reload; a page that was opened anew shows what the server sent
const returned = () => performance.getEntriesByType("navigation")[0]?.type !== "navigate";

function keepDrafts() {
  const key = keyOf(form.dataset.draft);
  const draft = read(key);
  if ("refused" in form.dataset) write(key, { fields: typed(), sending: false });
  else if (draft && (returned() || form.dataset.draft === "reasons")) {
    restore(draft.fields);
    if (draft.sending && returned()) sayUnsent();
  }
  form.addEventListener("input", () => write(key, { fields: typed(), sending: false }));
  form.addEventListener("submit", (event) => {
    write(key, { fields: typed(), sending: true });
    if (navigator.onLine) return;
    event.preventDefault();
    sayUnsent();
  });
  addEventListener("pageshow", (event) => {
    if (event.persisted && read(key)?.sending) sayUnsent();
  });
}

const current = form ? keyOf(form.dataset.draft) : "";
forget((key) => !read(key) || (key.startsWith(keyOf("")) && key !== current));
if (form) {
  keepDrafts();
  document.addEventListener("change", showChosen);
  showChosen();
}

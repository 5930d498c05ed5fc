// Keeps what an operator types until Earshot has stored it, sends it again after a lost connection, and keeps the call
// reserved while its page is open. Without this script forms are sent by the browser.
const RETRY_MS = 5000;
const KEEP_MS = 20000;
const IDLE_MS = 30 * 60000; // a page that nobody touches does not keep a call
const TIMEOUT_MS = 15000;
const operator = document.querySelector("[data-operator]")?.dataset.operator ?? "";
const call = document.querySelector("[data-call]")?.dataset.call;
const mine = `desk ${operator} `;
const draftOf = (form) => `${mine}${call} ${form.dataset.draft}`;
const isKept = (form) => form?.matches("[data-draft]");
const forms = () => [...document.querySelectorAll("[data-draft]")];

// What another operator typed, and what is stored, is not kept.
const done = document.querySelector("[data-done]")?.dataset.done;
for (const name of Object.keys(sessionStorage).filter((name) => name.startsWith("desk "))) {
  if (!name.startsWith(mine) || (done && name.startsWith(`${mine}${done} `))) sessionStorage.removeItem(name);
}

const restore = (form) => {
  const values = JSON.parse(sessionStorage.getItem(draftOf(form)) ?? "null");
  for (const field of values ? form.elements : []) {
    if (!field.name || field.type === "hidden" || field.matches("button")) continue;
    const given = values.filter(([name]) => name === field.name).map(([, value]) => value);
    if (field.matches("[type=radio], [type=checkbox]")) field.checked = given.includes(field.value);
    else if (given.length) field.value = given[0];
  }
  return values?.some(([name, value]) => value && name !== "minutes");
};

// What is typed next is added to what was typed: the caret is at the end of each text. Returns the forms with a draft.
const refill = () => {
  const restored = forms().filter(restore);
  for (const text of document.querySelectorAll("[data-draft] textarea")) text.setSelectionRange(text.value.length, text.value.length);
  document.dispatchEvent(new Event("change"));
  return restored;
};

// No outcome of a call stores the answer that was typed: what would be lost is asked first, in the same way as what
// cannot be taken back.
const hasAnswer = () => [...document.querySelectorAll("#answer :is(textarea, :checked)")].some((field) => field.value.trim());
const warn = () => document.querySelectorAll("[data-drops]").forEach((words) => (words.hidden = !hasAnswer()));
for (const kind of ["input", "change"]) document.addEventListener(kind, warn);
const ask = (button) => {
  const asked = button.nextElementSibling;
  button.hidden = true;
  asked.hidden = false;
  asked.open = true;
  asked.querySelector("button").focus();
};
document.addEventListener("toggle", ({ target }) => {
  if (!target.matches("button[hidden] + details.sure:not([open])")) return;
  const button = target.previousElementSibling;
  target.hidden = true;
  button.hidden = false;
  button.focus();
}, true);

for (const form of refill()) (form.elements.comment ?? form.elements.note).focus();

const tell = (about, name = "") => {
  const place = document.querySelector("#unsent");
  if (!place) return;
  place.textContent = about ? place.dataset[about].replace("{name}", () => name) : "";
  place.hidden = !about;
};

let waiting; // the form that is on its way to Earshot, its button and address
const show = async (response) => {
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  document.querySelector("main").replaceWith(page.querySelector("main") ?? page.body);
  refill();
  window.scrollTo(0, 0);
  document.querySelector("main [autofocus]")?.focus();
};
const send = async ({ form, button, address }) => {
  const options = {
    method: "POST",
    body: new URLSearchParams(new FormData(form, button)),
    headers: { accept: "text/html" },
    signal: AbortSignal.timeout(TIMEOUT_MS),
  };
  const response = await fetch(address, options);
  if (response.status >= 500 || response.status === 429) throw new Error("to be sent again");
  if (response.status === 403) return tell("taken"); // the operator has another role now
  const isOurs = new URL(response.url).pathname.startsWith("/desk");
  if (!isOurs) location.assign(`/login/renew?next=/desk/${call}`); // which leads back here, where it is still kept
  else if (response.redirected) location.assign(response.url);
  else await show(response);
};
let busy = false;
const deliver = async (sent) => {
  if (busy) return;
  busy = true;
  try {
    await send(sent);
    if (waiting === sent) waiting = undefined;
  } catch {
    tell("lost");
    setTimeout(() => waiting && deliver(waiting), RETRY_MS);
  } finally {
    busy = false;
  }
};
window.addEventListener("online", () => waiting && deliver(waiting));
document.addEventListener("input", ({ target: { form } }) => {
  if (isKept(form)) sessionStorage.setItem(draftOf(form), JSON.stringify([...new FormData(form)]));
});
document.addEventListener("submit", (event) => {
  const { target: form, submitter: button } = event;
  if (!isKept(form)) return;
  event.preventDefault();
  if (button?.closest(".later") && !form.elements.at.reportValidity()) return;
  if (button?.name && !button.closest(".sure") && hasAnswer()) {
    ask(button);
    return;
  }
  const address = new URL(button?.getAttribute("formaction") ?? form.action, location.href); // `formAction` of a button without one is the page
  if (hasAnswer() && button?.closest(".sure")) address.searchParams.set("lost", "1"); // as is said beside the button
  waiting = { form, button, address };
  deliver(waiting);
});

let touchedAt = Date.now();
for (const kind of ["keydown", "pointerdown", "pointermove"]) document.addEventListener(kind, () => (touchedAt = Date.now()));
const keep = async () => {
  if (waiting || Date.now() - touchedAt > IDLE_MS || !document.querySelector("[data-draft]")) return;
  try {
    const headers = Date.now() - touchedAt > KEEP_MS ? { "x-earshot-background": "1" } : {}; // keeps no session then
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const response = await fetch(`/desk/${call}/keep`, { method: "POST", headers, signal });
    if (response.status === 401) return tell("out");
    if (response.status === 403) return tell("taken");
    if (!response.ok) throw new Error("not kept");
    const { held, holder, there } = await response.json();
    const clock = document.querySelector("#there");
    if (there && clock) clock.textContent = there;
    if (held) tell("");
    else if (holder) tell("takenBy", holder);
    else tell("taken");
  } catch {
    tell("away");
  }
};
if (call) setInterval(keep, KEEP_MS);

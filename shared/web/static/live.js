// Updates the page without a reload: after an event of the page's stream, or every two seconds on a page without a stream.
// Replaces only parts that differ, and keeps the focus on the focused link or button. Its requests do not keep a session:
// when that has ended, the page says so and asks no more.
const nameOf = (element) => element.getAttribute("href") || element.value;
const swap = (old, fresh) => {
  const focused = old.contains(document.activeElement) && nameOf(document.activeElement);
  old.innerHTML = fresh.innerHTML;
  if (focused) [...old.querySelectorAll("a, button")].find((element) => nameOf(element) === focused)?.focus();
};
let hasEnded = false;
const tellEnd = () => {
  hasEnded = true;
  document.querySelector("#session-ended").hidden = false;
};
const refresh = async () => {
  const response = await fetch(location.href, { headers: { accept: "text/html", "x-earshot-background": "1" } });
  if (new URL(response.url).pathname.startsWith("/login")) tellEnd();
  if (!response.ok || response.redirected) return;
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  const parts = (page) => [...page.querySelectorAll("[data-live]")];
  const names = (page) => parts(page).map((part) => part.id).join();
  if (names(fresh) !== names(document)) {
    document.querySelector("main").replaceWith(fresh.querySelector("main"));
    return;
  }
  for (const part of parts(fresh)) {
    const old = document.getElementById(part.id);
    const isAsked = document.activeElement?.closest("details[open]"); // a question that is open is not closed
    if (old.innerHTML !== part.innerHTML && !(isAsked && old.contains(isAsked))) swap(old, part);
  }
};
const status = document.querySelector("[data-stream]");
let changed = !status?.dataset.stream;
setInterval(() => {
  if (!changed || hasEnded || document.visibilityState !== "visible") return;
  changed = !status?.dataset.stream;
  refresh().catch(() => {});
}, 2000);
if (status?.dataset.stream) {
  const stream = new EventSource(status.dataset.stream);
  let heardAt = Date.now();
  const say = (text) => (document.querySelector("[data-stream]").textContent = text);
  stream.addEventListener("figures", () => (changed = true));
  stream.addEventListener("state", (event) => {
    heardAt = Date.now();
    say(event.data);
  });
  stream.onerror = () => {
    say(status.dataset.waiting);
    changed ||= stream.readyState === EventSource.CLOSED; // refused, for which a refresh has the reason
  };
  setInterval(() => Date.now() - heardAt > 15000 && say(status.dataset.silent), 2000);
}

// Looks every two seconds whether something changed, and swaps only what did.
const refresh = async () => {
  const response = await fetch(location.href, { headers: { accept: "text/html" } });
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
    if (old.innerHTML !== part.innerHTML) old.innerHTML = part.innerHTML;
  }
};
setInterval(() => {
  if (document.visibilityState === "visible") refresh().catch(() => {});
}, 2000);

// Puts what the other services hold about a customer into this page, and their exports into one file.
// Without this script, or where a service is away or on another origin, its own page and export are linked.
const history_ = document.getElementById("history");
const places = document.getElementById("places");
const inOrder = (a, b) => new Date(b.dataset.at) - new Date(a.dataset.at);

const read = async (url) => {
  const response = await fetch(url, { headers: { accept: "text/html, application/json" } });
  const isThere = new URL(response.url).pathname === new URL(url, location.href).pathname; // and not the log-in
  if (!response.ok || !isThere) throw new Error(response.status);
  return response;
};
const take = async (line) => {
  try {
    const page = new DOMParser().parseFromString(await (await read(line.dataset.part)).text(), "text/html");
    for (const item of page.querySelectorAll("#history > li")) history_.append(item);
    for (const item of page.querySelectorAll("#places > li")) places.append(item);
    history_.append(...[...history_.children].sort(inOrder));
    line.remove();
  } catch {
    line.querySelector("span").hidden = false;
  }
};
const lines = [...document.querySelectorAll("[data-part]")];
Promise.all(lines.map(take)).then(() => {
  const isWhole = !document.querySelector("[data-part]");
  history_.dataset.whole = isWhole ? "yes" : "no";
  document.getElementById("nowhere").hidden = !isWhole || places.children.length > 0;
});

const exported = document.getElementById("export");
const save = async () => {
  const links = [...exported.querySelectorAll("a[download]")];
  const parts = await Promise.all(links.map(async (link) => (await read(link.href)).json()));
  const file = new Blob([JSON.stringify(parts, null, 2)], { type: "application/json" });
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(file), download: "customer.json" });
  link.click();
  URL.revokeObjectURL(link.href);
};
if (exported) {
  const button = Object.assign(document.createElement("button"), { type: "button", textContent: exported.dataset.label });
  button.addEventListener("click", () => save().catch(() => (exported.hidden = false)));
  exported.before(button);
  exported.hidden = true;
}

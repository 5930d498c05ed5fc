// Deletes what was typed at the call desk and not saved: all of it when somebody logs out, in every tab, and on the page
// of one person what another typed. It outlasts a log-in that has ended.
{
  const { person } = document.currentScript.dataset;
  const forget = (isDeleted) => {
    for (const name of Object.keys(sessionStorage)) {
      if (name.startsWith("desk ") && isDeleted(name)) sessionStorage.removeItem(name);
    }
  };
  const logOuts = new BroadcastChannel("earshot-log-out");
  if (person) forget((name) => !name.startsWith(`desk ${person} `));
  document.addEventListener("submit", (event) => {
    if (!event.target.matches("[action$='/account/log-out']")) return;
    forget(() => true);
    window.addEventListener("pagehide", () => logOuts.postMessage("")); // then the log-out has happened
  });
  logOuts.addEventListener("message", () => {
    forget(() => true);
    if (document.querySelector("[data-draft]")) location.reload();
  });
}

// Keyboard shortcuts of the call desk. Without this script the buttons do the same.
const TEN_MS = 1500; // 1 followed by 0 within this time is a score of 10
let oneAt = -Infinity;
document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("textarea, select, input[type=text], input[type=datetime-local]");
  const answer = document.querySelector("#answer");
  if (event.key === "Enter" && event.ctrlKey && answer) {
    answer.requestSubmit();
    return;
  }
  if (typing || event.ctrlKey || event.altKey || event.metaKey) return;
  const key = event.key.toUpperCase();
  const score = key === "T" || (key === "0" && event.timeStamp - oneAt < TEN_MS) ? "10" : key;
  oneAt = key === "1" ? event.timeStamp : -Infinity;
  const square = document.querySelector(`input[name=score][value="${CSS.escape(score)}"]`);
  const button = document.querySelector(`button[data-key="${CSS.escape(key)}"]`);
  if (square) square.click();
  else if (button) button.click();
  else if (key === "N") (document.querySelector("#take button") || document.querySelector(".queue button:enabled"))?.click();
});

// Shows only the reasons for the chosen score. Without this script both lists are shown under their headings.
const offer = () => {
  const chosen = document.querySelector("input[name=score]:checked")?.value;
  for (const list of document.querySelectorAll("[data-scores]")) list.hidden = !list.dataset.scores.split(" ").includes(chosen);
};
document.addEventListener("change", offer);
offer();

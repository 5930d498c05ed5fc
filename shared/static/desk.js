// One key for everything an operator does; without this script the buttons do.
document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("textarea, select, input[type=text], input[type=datetime-local]");
  const answer = document.querySelector("#answer");
  if (event.key === "Enter" && event.ctrlKey && answer) {
    answer.requestSubmit();
    return;
  }
  if (typing || event.ctrlKey || event.altKey || event.metaKey) return;
  const key = event.key.toUpperCase();
  const score = key === "T" ? "10" : key;
  const square = document.querySelector(`input[name=score][value="${CSS.escape(score)}"]`);
  const button = document.querySelector(`button[data-key="${CSS.escape(key)}"]`);
  if (square) square.click();
  else if (button) button.click();
  else if (key === "N") (document.querySelector("#take button") || document.querySelector(".queue button:enabled"))?.click();
});

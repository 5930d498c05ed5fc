// Shows the chosen score on the submit button. Without this script the button reads "Send", and works too.
const button = document.querySelector("button[data-label]");
const label = () => {
  const chosen = document.querySelector("input[name=score]:checked");
  button.textContent = chosen ? `${button.dataset.label} ${chosen.value}` : button.dataset.label;
};
document.addEventListener("change", label);
label();

// The button says what it will send. Without this script it says "Send", and works as well.
const button = document.querySelector("button[data-label]");
const label = () => {
  const chosen = document.querySelector("input[name=score]:checked");
  button.textContent = chosen ? `${button.dataset.label} ${chosen.value}` : button.dataset.label;
};
document.addEventListener("change", label);
label();

// Keys of the call desk, by their places on the keyboard. Without this script the buttons do the same.
const TEN_MS = 1500; // 1 followed by 0 within this time is a score of 10
const TYPED_IN = "textarea, select, input:not([type=radio]):not([type=checkbox])";
let oneAt = -Infinity;

// A score leads into the comment, so that what is typed next is typed there.
const choose = (answer, score) => {
  answer.querySelector(`input[name=score][value="${score}"]`).click();
  answer.elements.comment.focus();
};
const digitOf = (code) => /^(?:Digit|Numpad)([0-9])$/.exec(code)?.[1];

// What cannot be taken back is asked first: its key opens the question, and Enter says yes.
const press = (target) => {
  if (target.matches("summary")) {
    target.parentElement.open = true;
    target.parentElement.querySelector("button").focus();
  } else target.click();
};

document.addEventListener("keydown", (event) => {
  const answer = document.querySelector("#answer");
  const field = event.target.closest?.(TYPED_IN);
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    if (event.target.matches("textarea") && event.target.form) event.target.form.requestSubmit();
    else answer?.requestSubmit();
    return;
  }
  if (event.key === "Enter" && field?.matches(".later input")) {
    field.closest(".later").querySelector("button").click();
    event.preventDefault();
    return;
  }
  if (event.key === "Escape") {
    const asked = event.target.closest?.("details.sure");
    if (asked) {
      asked.open = false;
      asked.querySelector("summary").focus();
    } else field?.blur(); // after which keys work again
    return;
  }
  if (event.ctrlKey || event.altKey || event.metaKey || event.repeat || event.isComposing) return;
  if (field?.matches("[data-letter]") && /^Key[A-Z]$/.test(event.code)) {
    field.value = event.code.slice(3);
    event.preventDefault();
    return;
  }
  if (!document.querySelector("[data-keys]")) return;
  if (event.key === " " && event.target.closest?.(".sure button")) {
    event.preventDefault(); // words that are typed without looking confirm nothing: Enter says yes
    return;
  }
  const digit = digitOf(event.code);
  const isTen = digit === "0" && event.timeStamp - oneAt < TEN_MS;
  if (answer && isTen && (!field || (field.name === "comment" && field.value === field.defaultValue))) {
    oneAt = -Infinity;
    choose(answer, "10");
    event.preventDefault();
    return;
  }
  if (field || event.shiftKey) return;
  if (answer && digit) {
    oneAt = digit === "1" ? event.timeStamp : -Infinity;
    choose(answer, digit);
    event.preventDefault();
    return;
  }
  const target = document.querySelector(`[data-code="${CSS.escape(event.code)}"]`);
  if (!target) return;
  event.preventDefault();
  if (answer && target.matches("[data-ten]")) choose(answer, "10");
  else press(target);
});

// Shows only the reasons for the chosen score. Without this script both lists are shown under their headings.
const offer = () => {
  const chosen = document.querySelector("input[name=score]:checked")?.value;
  for (const list of document.querySelectorAll("[data-scores]")) list.hidden = !list.dataset.scores.split(" ").includes(chosen);
};
document.addEventListener("change", offer);
offer();

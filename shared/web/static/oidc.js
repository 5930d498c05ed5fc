// Sends the answer of an identity provider on. Without this script the button does the same.
history.replaceState(null, "", "/login"); // so that going back does not send it again
document.querySelector("#answer").requestSubmit();

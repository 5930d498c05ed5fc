// Frames as tall as their content, which runs no scripts of its own. Without this script a frame scrolls.
const frames = [...document.querySelectorAll("iframe")];
const fit = (frame) => {
  const content = frame.contentDocument?.body;
  if (!content) return;
  frame.style.height = "0";
  frame.style.height = `${frame.contentDocument.documentElement.scrollHeight + 2}px`; // 2: its borders
};
for (const frame of frames) {
  frame.addEventListener("load", () => fit(frame));
  fit(frame);
}
addEventListener("resize", () => frames.forEach(fit));

// Keys of a text box on the annotators' page. Label Studio itself takes back what was typed at Escape, and at Ctrl+Enter
// does nothing: Escape leaves the box here, and Ctrl+Enter submits from it.
document.addEventListener("keydown", (event) => {
  const box = event.target;
  if (event.isComposing || !/^(TEXTAREA|INPUT)$/.test(box.tagName) || !box.closest(".job")) return;
  const submits = event.key === "Enter" && (event.ctrlKey || event.metaKey);
  if (event.key !== "Escape" && !submits) return;
  event.stopImmediatePropagation();
  event.preventDefault();
  box.blur(); // the page takes over what was typed
  const button = '[data-testid="bottombar-submit-button"], [data-testid="bottombar-update-button"]';
  if (submits) setTimeout(() => document.querySelector(button)?.click());
}, true);

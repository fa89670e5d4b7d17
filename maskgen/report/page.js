"use strict";
(() => {
  const root = document.documentElement;
  const button = document.getElementById("theme");
  const wants = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : wants.matches);
  const name = () => {
    button.textContent = isDark() ? "light" : "dark";
    button.setAttribute("aria-label", `show the page in ${button.textContent} colours`);
  };
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    name();
  });
  wants.addEventListener("change", name);
  button.hidden = false;
  name();

  const says = document.getElementById("says");
  let here = null;
  const show = (token) => {
    if (here) here.classList.remove("here");
    here = token;
    says.hidden = !token;
    if (!token) return;
    token.classList.add("here");
    says.textContent = token.dataset.says || token.title;
  };
  const tokenAt = (event) => (event.target instanceof Element ? event.target.closest(".tokens .tok, .chart .cell") : null);
  document.addEventListener("click", (event) => show(tokenAt(event)));
  document.addEventListener("focusin", (event) => show(tokenAt(event)));
  document.addEventListener("pointerover", (event) => {
    if (event.pointerType === "mouse") show(tokenAt(event));
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") show(null);
  });
})();

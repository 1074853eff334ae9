// Light or dark, before the first paint: what was chosen here, else what the system says. A classic script on purpose.
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let kept = null;
  try { kept = localStorage.getItem("theme"); } catch { /* storage may be switched off; the system's choice then stands */ }
  if (kept === "light" || kept === "dark") root.dataset.theme = kept;

  const now = () => root.dataset.theme ?? (dark.matches ? "dark" : "light");
  const told = () => {
    const button = document.getElementById("theme");
    const other = now() === "dark" ? "light" : "dark";
    if (button) {
      button.textContent = other === "dark" ? "Dark" : "Light";
      button.setAttribute("aria-label", `Switch to ${other} colours`);
    }
    document.dispatchEvent(new CustomEvent("themechange"));
  };
  window.toggleTheme = () => {
    root.dataset.theme = now() === "dark" ? "light" : "dark";
    try { localStorage.setItem("theme", root.dataset.theme); } catch { /* then it lasts until the page is left */ }
    told();
  };
  dark.addEventListener("change", told);
  document.addEventListener("DOMContentLoaded", () => {
    document.getElementById("theme")?.addEventListener("click", window.toggleTheme);
    told();
  });
})();

// The frame of a page: the menu of narrow windows, and the theme.

export function bindMenu() {
  const button = document.querySelector("button.menu");
  const side = document.querySelector(".side");
  if (!(button instanceof HTMLButtonElement) || !side) return;
  button.addEventListener("click", () => {
    const open = side.classList.toggle("open");
    button.setAttribute("aria-expanded", String(open));
  });
}

export function bindTheme() {
  const select = document.querySelector("select[data-theme-choice]");
  if (!(select instanceof HTMLSelectElement)) return;
  const root = document.documentElement;
  select.value = root.dataset.theme ?? "system";
  select.closest("[hidden]")?.removeAttribute("hidden");
  select.addEventListener("change", () => {
    const theme = select.value;
    if (theme === "system") delete root.dataset.theme;
    else root.dataset.theme = theme;
    try {
      if (theme === "system") localStorage.removeItem("nemo-theme");
      else localStorage.setItem("nemo-theme", theme);
    } catch {
      // Storage is forbidden: the choice lasts as long as the page.
    }
  });
}

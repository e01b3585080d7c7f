// Before anything is painted: the theme that was chosen, and the word that scripts run here.
// Only the theme is ever kept in this browser's storage.
"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("script");
  try {
    const theme = localStorage.getItem("nemo-theme");
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  } catch {
    // Storage is forbidden: the system's theme.
  }
})();

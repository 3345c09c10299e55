// Dark or light, before anything is drawn: a classic script, because modules run too late for that.

(() => {
  const key = "confostain-theme";
  const apply = (theme) => document.documentElement.setAttribute("data-theme", theme);
  let theme = "dark";
  try {
    theme = localStorage.getItem(key) ?? theme;
  } catch {
    // storage is closed to the page: dark it stays
  }
  apply(theme);
  window.toggleTheme = () => {
    theme = theme === "dark" ? "light" : "dark";
    apply(theme);
    try {
      localStorage.setItem(key, theme);
    } catch {
      // not remembered, then
    }
  };
})();

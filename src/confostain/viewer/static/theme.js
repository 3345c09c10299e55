// Dark or light, before anything is drawn: a classic script, because modules run too late for that.

(() => {
  const key = "confostain-theme";
  const apply = (theme) => document.documentElement.setAttribute("data-theme", theme);
  let theme = "dark";
  try {
    theme = localStorage.getItem(key) ?? theme;
  } catch {
    // no access to storage: keep the default
  }
  apply(theme);
  window.toggleTheme = () => {
    theme = theme === "dark" ? "light" : "dark";
    apply(theme);
    try {
      localStorage.setItem(key, theme);
    } catch {
      // no access to storage: the choice is not remembered
    }
  };
})();

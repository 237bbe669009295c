// Before anything is painted: the theme that was chosen here, if it is not the system's.
try {
  const theme = localStorage.getItem("theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // A browser without storage has the system's theme.
}

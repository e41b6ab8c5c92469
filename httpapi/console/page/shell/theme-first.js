// Sets the theme that was chosen before the first paint. No module: these run too late for that.
try {
  const chosen = localStorage.getItem("console.theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // Without storage the system's theme counts.
}

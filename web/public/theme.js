// Runs before the first paint, so that no page flashes in the wrong theme. A file, not inline: the page's CSP allows no inline script.
(() => {
  let look = {};
  try {
    look = JSON.parse(localStorage.getItem('candlewick.look') ?? '{}');
  } catch {
    // A blocked or damaged store falls back to the defaults.
  }
  const light =
    look.theme === 'light' || (look.theme !== 'dark' && matchMedia('(prefers-color-scheme: light)').matches);
  document.documentElement.dataset.theme = light ? 'light' : 'dark';
  document.documentElement.dataset.colours = look.colours ?? 'flame';
})();

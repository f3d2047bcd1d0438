// What the buttons of a page do, and its colours. Debian's mdbook brings no such script; scripts/book puts this one in its place.
(function () {
  const html = document.documentElement;
  const by = (id) => document.getElementById(id);
  const keep = (key, value) => {
    try { localStorage.setItem(key, value); } catch (error) { /* private windows keep nothing */ }
  };
  const kept = (key) => {
    try { return localStorage.getItem(key); } catch (error) { return null; }
  };

  // Themes: `default_theme` follows the system.
  const names = ['light', 'rust', 'coal', 'navy', 'ayu'];
  const dark = window.matchMedia('(prefers-color-scheme: dark)');
  const sheets = { 'ayu-highlight-css': ['ayu'], 'tomorrow-night-css': ['coal', 'navy'], 'highlight-css': ['light', 'rust'] };
  const show = () => {
    const theme = kept('mdbook-theme') || (dark.matches ? default_dark_theme : default_light_theme);
    html.classList.remove(...names);
    html.classList.add(theme);
    for (const [id, themes] of Object.entries(sheets)) by(id).disabled = !themes.includes(theme);
  };
  const list = by('theme-list');
  const open = (is) => {
    list.style.display = is ? 'block' : 'none';
    by('theme-toggle').setAttribute('aria-expanded', is);
  };
  by('theme-toggle').addEventListener('click', () => open(list.style.display !== 'block'));
  list.addEventListener('click', (event) => {
    const chosen = event.target.closest('.theme');
    if (!chosen) return;
    keep('mdbook-theme', chosen.id === 'default_theme' ? '' : chosen.id);
    show();
    open(false);
  });
  dark.addEventListener('change', show);
  show();

  // The contents beside the page.
  const toggle = by('sidebar-toggle-anchor');
  toggle.addEventListener('change', () => {
    html.classList.toggle('sidebar-visible', toggle.checked);
    by('sidebar').setAttribute('aria-hidden', !toggle.checked);
    by('sidebar-toggle').setAttribute('aria-expanded', toggle.checked);
    document.querySelectorAll('#sidebar a').forEach((link) => { link.tabIndex = toggle.checked ? 0 : -1; });
    keep('mdbook-sidebar', toggle.checked ? 'visible' : 'hidden');
  });

  // Code: its colours, and a button that copies it.
  document.querySelectorAll('pre > code').forEach((code) => {
    // Debian's highlight.js is of version 9.
    const paint = window.hljs && (hljs.highlightElement || hljs.highlightBlock);
    if (paint && /language-(rust|toml)/.test(code.className)) paint(code);
    code.classList.add('hljs');
    const button = document.createElement('button');
    button.className = 'fa fa-copy clip-button';
    button.title = 'Copy';
    button.addEventListener('click', () => navigator.clipboard.writeText(code.innerText));
    const buttons = document.createElement('div');
    buttons.className = 'buttons';
    buttons.append(button);
    code.parentElement.prepend(buttons);
  });

  // The chapters before and behind, by the arrow keys.
  document.addEventListener('keydown', (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey || event.target.tagName === 'INPUT') return;
    const way = { ArrowLeft: '.nav-chapters.previous', ArrowRight: '.nav-chapters.next' }[event.key];
    const link = way && document.querySelector(way);
    if (link) location.href = link.href;
  });
})();

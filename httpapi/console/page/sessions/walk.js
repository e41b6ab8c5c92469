// Walking through the rows by keys.

/**
 * @param {{node: HTMLElement, rows: () => HTMLElement[], loadMore: () => void}} list
 * @param {{isOpen: () => boolean, open: (id: string) => void}} of isOpen: whether a session is open, which then follows
 */
export function walk(list, of) {
  let at = null;
  let follow = 0;

  /** To the row that is so many further. */
  function by(step) {
    const rows = list.rows();
    if (!rows.length) return;
    const from = rows.findIndex((row) => row.dataset.id === at);
    const to = from < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, from + step));
    focus(rows[to]);
    if (to > rows.length - 10) list.loadMore();
    if (!of.isOpen()) return;
    clearTimeout(follow);
    follow = setTimeout(() => of.open(at), 120);
  }

  function focus(row) {
    at = row.dataset.id;
    row.querySelector(".open").focus({ preventScroll: true });
    row.scrollIntoView({ block: "nearest" });
  }

  /** Shows which row is open. @param {string|null} id */
  function mark(id) {
    if (id !== null) at = id;
    for (const row of list.rows()) row.toggleAttribute("data-open", row.dataset.id === id);
  }

  function open() {
    if (at !== null) of.open(at);
  }

  /** Back from a session: its row has the focus again. */
  function focusAgain() {
    const row = list.rows().find((row) => row.dataset.id === at);
    if (row) focus(row);
  }

  list.node.addEventListener("focusin", (event) => {
    const row = event.target.closest(".srow[data-id]");
    if (row) at = row.dataset.id;
  });
  return { by, mark, open, focusAgain, at: () => at };
}

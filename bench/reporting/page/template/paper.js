/* For paper: sections unfolded, and tables that are too wide in parts below each other. What is folded
   in a card or in another fold of runs (the numbers of a chart, the settings of a run) is printed if it was open. */

Page.paper = (() => {
  let folded = [], parts = [];

  /* Columns in as few parts as the width allows; each part begins with the column of the labels.
     A column stays with those that are joined to it. */
  const split = (widths, joined, room) => {
    const groups = [];
    widths.forEach((_, place) => {
      if (place === 0) return;
      if (joined[place] && groups.length) groups.at(-1).push(place);
      else groups.push([place]);
    });
    const found = [[]];
    let used = widths[0];
    for (const group of groups) {
      const width = group.reduce((sum, place) => sum + widths[place], 0);
      if (used + width > room && found.at(-1).length) {
        found.push([]);
        used = widths[0];
      }
      found.at(-1).push(...group);
      used += width;
    }
    return found;
  };

  const part = (table, kept) => {
    const copy = table.cloneNode(true);
    for (const row of copy.rows)
      for (const cell of [...row.cells].filter((_, place) => place && !kept.includes(place))) cell.remove();
    return copy;
  };

  const begin = () => {
    if (document.documentElement.classList.contains("paper")) return;
    document.documentElement.classList.add("paper");
    Page.later.all();
    folded = [...document.querySelectorAll("details:not([open], .card *, .folds details *)")];
    for (const node of folded) node.open = true;
    const wide = [...document.querySelectorAll(".scroller > table")].map((table) => ({ table,
      room: table.parentNode.clientWidth, size: table.offsetWidth,
      widths: [...table.rows[0].cells].map((cell) => cell.getBoundingClientRect().width),
      joined: [...table.rows[0].cells].map((cell) => "joined" in cell.dataset) }));
    for (const { table, room, size, widths, joined } of wide) {
      if (size <= room) continue;
      const copies = split(widths, joined, room).map((kept) => part(table, kept));
      if (copies.length < 2) continue;
      table.after(...copies);
      table.hidden = true;
      parts.push({ table, copies });
    }
  };

  const end = () => {
    for (const { table, copies } of parts) {
      for (const copy of copies) copy.remove();
      table.hidden = false;
    }
    for (const node of folded) node.open = false;
    folded = [];
    parts = [];
    document.documentElement.classList.remove("paper");
  };

  const follow = () => {
    const paper = matchMedia("print");
    addEventListener("beforeprint", begin);
    addEventListener("afterprint", end);
    paper.addEventListener("change", () => (paper.matches ? begin : end)());
  };

  return { follow };
})();

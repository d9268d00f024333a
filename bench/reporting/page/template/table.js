/* Tables that sort by any column, follow the filter, and can be copied as `bench report` writes them. */

Page.tables = (() => {
  const { el, data } = Page;
  const FORMS = { csv: "CSV", markdown: "Markdown", latex: "LaTeX" };
  const collator = new Intl.Collator("en", { numeric: true });

  /* Compare two rows by a column (-1: the label); what is missing comes last in either direction. */
  const comparison = (column, sign) => (one, other) => {
    if (column < 0) return sign * collator.compare(one.label, other.label);
    const a = one.cells[column].sort, b = other.cells[column].sort;
    if (a === null || b === null) return (a === null) - (b === null);
    return sign * (a - b);
  };

  const notes = (listed) => listed.length === 0 ? null : el("ul", { class: "notes" }, listed.map((note) => {
    const items = note.items.length
      ? el("ul", null, note.items.map((item) => el("li", null, item))) : null;
    return el("li", null,
      items && note.items.length > 6 ? Page.fold(`${note.text} (${note.items.length})`, items)
        : [note.text, items],
      note.command ? [" ", Page.command(note.command)] : null);
  }));

  const cell = ({ number, rest, kind, bold }) => el("td", { class: kind },
    el(bold ? "strong" : "span", null, number), rest ? el("span", { class: "rest" }, rest) : null);

  const render = (table) => {
    const id = Page.slug(/^\d/.test(table.name) ? `table ${table.name}` : table.name);
    const sets = new Set(table.columns.map((column) => column.data));
    const order = { column: null, sign: 1 };
    const body = el("tbody");
    const heads = [];
    const rows = table.rows.map((row) => ({ ...row, node: el("tr", null,
      el("th", { scope: "row" }, row.label), row.cells.map(cell)) }));

    const update = () => {
      const sorted = order.column === null
        ? rows : [...rows].sort(comparison(order.column, order.sign));
      body.replaceChildren(...sorted.map((row) => row.node));
      for (const row of rows) row.node.hidden = !Page.filter.accepts(row.variant, row.label);
      heads.forEach((head, cell) => {
        const sort = cell - 1 === order.column ? (order.sign > 0 ? "ascending" : "descending") : "none";
        head.setAttribute("aria-sort", sort);
        head.hidden = cell > 0 && !Page.filter.acceptsData(table.columns[cell - 1].data);
        for (const row of rows) row.node.cells[cell].hidden = head.hidden;
      });
    };

    /* The first press sorts, the better values first; the second turns; the third takes it back. */
    const press = (column) => {
      const first = column >= 0 && table.columns[column].direction === "higher" ? -1 : 1;
      if (order.column !== column) Object.assign(order, { column, sign: first });
      else if (order.sign === first) order.sign = -first;
      else order.column = null;
      update();
      const name = column < 0 ? "name" : table.columns[column].title;
      Page.say(order.column === null ? "In the order of the sweep."
        : `Sorted by ${name}, ${order.sign > 0 ? "ascending" : "descending"}.`);
    };

    const head = (column, ...content) => {
      const node = el("th", { scope: "col", "aria-sort": "none" },
        el("button", { type: "button", onclick: () => press(column) }, content));
      heads.push(node);
      return node;
    };
    const arrows = () => el("span", { class: "sort", "aria-hidden": "true" });
    const top = el("tr", null, head(-1, "Row\u00a0", arrows()), table.columns.map((column, index) => head(index,
      sets.size > 1 ? el("span", { class: "over" }, column.dataTitle) : null,
      [column.title, column.arrow].filter(Boolean).join(" ").replace(/ (\S+)$/, "\u00a0$1"),
      "\u00a0", arrows(),
      column.mark ? el("span", { class: "over" }, `[${column.mark}]`) : null)));

    const caption = sets.size === 1 && table.columns[0]
      ? `${table.title} — ${table.columns[0].dataTitle}` : table.title;
    update();
    Page.filter.onChange(update);
    return el("article", { "aria-labelledby": id },
      Page.heading(3, id, table.title),
      Page.scroller(table.title, el("table", { class: "measurements" },
        el("caption", { class: "unseen" }, `${caption}. Headings sort.`),
        el("thead", null, top), body)),
      el("p", { class: "tools" }, "Copy the whole table as ", Object.keys(FORMS).map((form) =>
        Page.copyButton(FORMS[form], `${table.title} as ${FORMS[form]}`, table.copies[form]))),
      notes(table.notes));
  };

  return { render: () => data.tables.length === 0 ? null
    : Page.section("Tables", notes(data.notes), data.tables.map(render)) };
})();

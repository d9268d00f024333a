/* Tables that sort by any column, follow the filter, and can be copied as `bench report` writes them. */

Page.tables = (() => {
  const { el, data } = Page;
  const FORMS = { csv: "CSV", markdown: "Markdown", latex: "LaTeX" };
  const FEW = 8, MANY = 12;
  const collator = new Intl.Collator("en", { numeric: true });

  /* Compare two rows by a column (-1: the label); what is missing comes last in either direction. */
  const comparison = (column, sign) => (one, other) => {
    if (column < 0) return sign * collator.compare(one.label, other.label);
    const a = one.cells[column].sort, b = other.cells[column].sort;
    if (a === null || b === null) return (a === null) - (b === null);
    return sign * (a - b);
  };

  const list = (listed) => el("ul", { class: "notes" }, listed.map((note) => {
    const items = note.items.length
      ? el("ul", null, note.items.map((item) => el("li", null, item))) : null;
    return el("li", null,
      items && note.items.length > 6 ? Page.fold(`${note.text} (${note.items.length})`, items)
        : [note.text, items],
      note.command ? [" ", Page.command(note.command)] : null);
  }));

  /* The first notes, and of many the rest behind a line. */
  const notes = (listed) => {
    if (listed.length <= MANY) return listed.length ? list(listed) : null;
    const [first, rest] = [listed.slice(0, FEW), listed.slice(FEW)];
    return [list(first), el("div", { class: "notes" }, Page.fold(`Further notes (${rest.length})`, list(rest)))];
  };

  const cell = ({ number, rest, kind, bold }) => el("td", { class: kind },
    el(bold ? "strong" : "span", null, number), rest ? el("span", { class: "rest" }, rest) : null);

  const render = (table) => {
    const id = Page.slug(/^\d/.test(table.name) ? `table ${table.name}` : table.name);
    const sets = new Set(table.columns.map((column) => column.data));
    const order = { column: null, sign: 1 };
    const body = el("tbody");
    const heads = [];
    const rows = table.rows.map((row) => ({ ...row, node: el("tr", null,
      el("th", { scope: "row" }, el("span", { class: "label" }, row.label)), row.cells.map(cell)) }));

    const update = () => {
      const sorted = order.column === null
        ? rows : [...rows].sort(comparison(order.column, order.sign));
      body.replaceChildren(...sorted.map((row) => row.node));
      for (const row of rows) row.node.hidden = !Page.filter.accepts(row.variant, row.label);
      article.hidden = !table.columns.some(Page.filter.acceptsColumn) && table.columns.length > 0;
      heads.forEach((head, cell) => {
        const sort = cell - 1 === order.column ? (order.sign > 0 ? "ascending" : "descending") : "none";
        head.setAttribute("aria-sort", sort);
        head.hidden = cell > 0 && !Page.filter.acceptsColumn(table.columns[cell - 1]);
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

    const isBesideItsValue = (column) => {
      const { view, metric, data } = table.columns[column] || {}, before = table.columns[column - 1];
      return Boolean(before) && view !== "value" && before.metric === metric && before.data === data;
    };

    const head = (column, ...content) => {
      /* On paper a gap or a difference stays beside its value. */
      const joined = isBesideItsValue(column) ? { "data-joined": "" } : {};
      const node = el("th", { scope: "col", "aria-sort": "none", ...joined },
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
    const article = el("article", { "aria-labelledby": id },
      Page.heading(3, id, table.title),
      Page.scroller(table.title, el("table", { class: "measurements" },
        el("caption", { class: "unseen" }, `${caption}. Headings sort.`),
        el("thead", null, top), body)),
      el("p", { class: "tools" }, "Copy the whole table as ", Object.keys(FORMS).map((form) =>
        Page.copyButton(FORMS[form], `${table.title} as ${FORMS[form]}`, table.copies[form]))),
      notes(table.notes));
    update();
    Page.filter.onChange(update);
    return article;
  };

  /* A choice of the metrics of one topic, which the tables and the dots of the seeds follow. */
  const topics = () => {
    if (data.topics.length === 0) return null;
    const remarks = el("div");
    const others = el("option", { value: "", disabled: true, hidden: true }, "as filtered");
    const named = [{ title: "all", metrics: [], notes: [] }, ...data.topics];
    const choice = Page.select("Metrics", named.map(({ title }, index) => [index, title]),
      () => Page.filter.choose("metric", named[Number(choice.node.value)].metrics));
    choice.node.append(others);
    const update = () => {
      const wanted = Page.filter.wanted("metric").sort().join();
      const topic = named.find(({ metrics }) => [...metrics].sort().join() === wanted);
      choice.node.value = topic ? named.indexOf(topic) : "";
      remarks.replaceChildren(...[notes(topic ? topic.notes : [])].flat().filter(Boolean));
    };
    update();
    Page.filter.onChange(update);
    return [el("div", { class: "tools" }, choice.field), remarks];
  };

  return { render: () => data.tables.length === 0 ? null
    : Page.section("Tables", notes(data.notes), topics(), data.tables.map(render)) };
})();

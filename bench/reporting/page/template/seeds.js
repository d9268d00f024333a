/* Every seed as a dot, with the mean, its 95 % interval, and a line for the real images. */

Page.seeds = (() => {
  const { el, svg, data } = Page;
  const WIDTH = 380, LEFT = 128, RIGHT = 14, TOP = 8, STEP = 24, FOOT = 26;

  const limits = (column, rows) => {
    const values = rows.flatMap((row) => [
      ...row.values.map(([, value]) => value),
      ...(row.half === null ? [] : [row.mean - row.half, row.mean + row.half]),
    ]);
    if (column.real !== null) values.push(column.real);
    const low = Math.min(...values), high = Math.max(...values);
    const edge = (high - low) * 0.04;
    return { low: low - edge, high: high + edge };
  };

  const drawRow = (row, y, x) => {
    const parts = [svg("line", { class: "guide", x1: LEFT, x2: WIDTH - RIGHT, y1: y, y2: y })];
    if (row.half !== null)
      parts.push(svg("line", { class: "interval", x1: x(row.mean - row.half),
        x2: x(row.mean + row.half), y1: y, y2: y }));
    for (const [seed, value] of row.values)
      parts.push(svg("circle", { class: "dot", cx: x(value), cy: y, r: 3.5 },
        svg("title", null, `${row.label} ${Page.seedText(seed)}: ${Page.chart.number(value)}`)));
    if (row.values.length > 1)
      parts.push(svg("line", { class: "mean", x1: x(row.mean), x2: x(row.mean), y1: y - 7, y2: y + 7 }));
    return svg("g", { class: Page.ink(row.variant) }, parts);
  };

  const draw = (column, rows, title) => {
    const height = TOP + rows.length * STEP + FOOT;
    const known = column.real === null ? "" : " The dashed line is the value of the real images.";
    const picture = Page.chart.frame(WIDTH, height, title,
      `A dot for each seed of ${rows.length} rows, with mean and 95 % interval.${known} ` +
      "The table below has the numbers.");
    const axis = Page.chart.scale({ ...limits(column, rows), from: LEFT + 6, to: WIDTH - RIGHT - 6 });
    const x = (value) => Page.chart.round(axis.place(value));
    const bottom = TOP + rows.length * STEP;
    for (const tick of axis.ticks)
      picture.append(
        svg("line", { class: "grid", x1: x(tick), x2: x(tick), y1: TOP, y2: bottom }),
        svg("text", { class: "tick", x: x(tick), y: bottom + 16, "text-anchor": "middle" },
          Page.chart.number(tick)));
    rows.forEach((row, place) => {
      const y = TOP + (place + 0.5) * STEP;
      picture.append(
        Page.chart.label(row.label, 17, { class: "name", x: LEFT - 8, y: y + 4, "text-anchor": "end" }),
        drawRow(row, y, x));
    });
    if (column.real !== null)
      picture.append(svg("line", { class: "real", x1: x(column.real), x2: x(column.real),
        y1: TOP, y2: bottom }, svg("title", null, `real images: ${Page.chart.number(column.real)}`)));
    return picture;
  };

  const numbers = (rows, title) => {
    const names = [...new Set(rows.flatMap((row) => row.values.map(([seed]) => seed)))];
    const others = [...new Set(rows.map((row) => row.to).filter(Boolean))];
    const show = (row, seed) => row.values.filter(([own]) => own === seed)
      .map(([, value]) => Page.chart.number(value)).join(", ") || "—";
    return Page.scroller(`Numbers: ${title}`, el("table", { class: "numbers" },
      el("thead", null, el("tr", null, el("th", { scope: "col" }, "Row"),
        el("th", { scope: "col" }, "mean"),
        others.length ? el("th", { scope: "col" }, `difference from ${others.join(", ")}`) : null,
        names.map((seed) => el("th", { scope: "col" }, Page.seedText(seed) || "value")))),
      el("tbody", null, rows.map((row) => el("tr", null, el("th", { scope: "row" }, row.label),
        el("td", null, row.text), others.length ? el("td", null, row.difference) : null,
        names.map((seed) => el("td", null, show(row, seed))))))));
  };

  const render = (column) => {
    const own = [column.title, column.arrow].filter(Boolean).join(" ");
    const title = Object.keys(data.data).length > 1 ? `${own}, ${column.dataTitle}` : own;
    const id = Page.slug(`seeds ${column.metric} ${column.data}`);
    const box = el("div");
    const card = el("article", { class: "card", "aria-labelledby": id }, Page.heading(3, id, title), box,
      column.protocol ? el("p", { class: "protocol" }, column.protocol) : null);
    const update = () => {
      const rows = column.rows.filter((row) => Page.filter.accepts(row.variant, row.label));
      card.hidden = !Page.filter.acceptsData(column.data) || rows.length === 0;
      if (card.hidden) return;
      Page.later.ask(box, WIDTH, TOP + rows.length * STEP + FOOT, () => box.replaceChildren(
        draw(column, rows, title), Page.fold("Numbers", numbers(rows, title))));
    };
    update();
    Page.filter.onChange(update);
    return card;
  };

  return { render: () => data.seeds.length === 0 ? null : Page.section("Seeds",
    el("p", { class: "lead" }, "A dot is one seed; the bar is the 95 % t interval of the mean, which ",
      "the tick marks. The dashed line is the value of the real test images."),
    el("div", { class: "cards" }, data.seeds.map(render))) };
})();

/* Every seed as a dot, with the mean, its 95 % interval, and a line for the real images. */

Page.seeds = (() => {
  const { el, svg, data } = Page;
  const { WIDTH, number, tick, line } = Page.chart;
  const RIGHT = 14, TOP = 8, STEP = 24, FOOT = 26;
  const LETTER = 7.5, NAMES = 25;

  /* How many letters of the longest name there is room for. */
  const letters = (rows) => Math.min(NAMES, Math.max(...rows.map((row) => [...row.label].length)));

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

  const drawRow = (row, y, x, left) => {
    const { mean, half, values } = row;
    return svg("g", { class: Page.ink(row.variant) },
      line("guide", left, WIDTH - RIGHT, y, y),
      half === null ? null : line("interval", x(mean - half), x(mean + half), y, y),
      values.map(([seed, value]) => svg("circle", { class: "dot", cx: x(value), cy: y, r: 3.5 },
        svg("title", null, `${row.label} ${Page.seedText(seed)}: ${number(value)}`))),
      values.length > 1 ? line("mean", x(mean), x(mean), y - 7, y + 7) : null);
  };

  const height = (rows) => TOP + rows.length * STEP + FOOT;

  const draw = (column, rows, title) => {
    const known = column.real === null ? "" : " The dashed line is the value of the real images.";
    const picture = Page.chart.frame(WIDTH, height(rows), title,
      `A dot for each seed of ${rows.length} rows, with mean and 95 % interval.${known} ` +
      "The table below has the numbers.");
    const most = letters(rows), left = most * LETTER + 12;
    const axis = Page.chart.scale({ ...limits(column, rows), from: left + 6, to: WIDTH - RIGHT - 6 });
    const x = (value) => Page.chart.round(axis.place(value));
    const bottom = TOP + rows.length * STEP;
    for (const value of axis.ticks)
      picture.append(line("grid", x(value), x(value), TOP, bottom), tick(x(value), bottom + 16, number(value)));
    rows.forEach((row, index) => {
      const y = TOP + (index + 0.5) * STEP;
      picture.append(
        Page.chart.label(row.label, most, { class: "name", x: left - 8, y: y + 4, "text-anchor": "end" }),
        drawRow(row, y, x, left));
    });
    if (column.real !== null)
      picture.append(line("real", x(column.real), x(column.real), TOP, bottom,
        svg("title", null, `real images: ${number(column.real)}`)));
    return picture;
  };

  const difference = (row, others) =>
    row.difference && others.length > 1 ? `${row.difference} from ${row.to}` : row.difference;

  const numbers = (rows) => {
    const seeds = [...new Set(rows.flatMap((row) => row.values.map(([seed]) => seed)))];
    const others = [...new Set(rows.map((row) => row.to).filter(Boolean))];
    const show = (row, seed) => row.values.filter(([other]) => other === seed)
      .map(([, value]) => number(value)).join(", ") || "—";
    return [
      ["Row", "mean", ...(others.length ? [others.length > 1 ? "difference" : `difference from ${others[0]}`] : []),
        ...seeds.map((seed) => Page.seedText(seed) || "value")],
      rows.map((row) => [row.label, row.text, ...(others.length ? [difference(row, others)] : []),
        ...seeds.map((seed) => show(row, seed))]),
    ];
  };

  const render = (column) => Page.chart.card({
    id: `seeds ${column.metric}`, title: [column.title, column.arrow].filter(Boolean).join(" "),
    on: column.data, folded: "Numbers", numbers, height, below: column.protocol,
    accepts: () => Page.filter.acceptsColumn(column),
    choose: () => column.rows.filter((row) => Page.filter.accepts(row.variant, row.label)),
    draw: (rows, title) => draw(column, rows, title) }).node;

  return { render: () => data.seeds.length === 0 ? null : Page.section("Seeds",
    el("p", { class: "lead" }, "A dot is one seed; the bar is the 95 % t interval of the mean, which ",
      "the tick marks. The dashed line is the value of the real test images."),
    el("div", { class: "cards" }, data.seeds.map(render))) };
})();

/* Training curves: a chart for each term, a color for each variant, a thin line for each seed. */

Page.curves = (() => {
  const { el, svg, data } = Page;
  const { steps, charts } = data.curves;
  const WIDTH = 380, HEIGHT = 230, LEFT = 48, RIGHT = 12, TOP = 10, FOOT = 38;
  const MANY = 60;
  const SPAN = 20;
  let form = "auto";

  const finite = (values) => values.filter((value) => value !== null);

  /* The mean over the seeds of each variant that were recorded at the same steps. */
  const means = (lines) => {
    const groups = new Map();
    for (const line of lines) {
      const key = `${line.variant} ${line.steps}`;
      groups.set(key, [...(groups.get(key) || []), line]);
    }
    return [...groups.values()].map((held) => ({ ...held[0], count: held.length,
      values: held[0].values.map((_, place) => {
        const own = finite(held.map((line) => line.values[place]));
        return own.length === held.length ? own.reduce((a, b) => a + b, 0) / own.length : null;
      }) }));
  };

  const path = (line, x, y, log) => {
    let drawn = "", joined = false;
    line.values.forEach((value, place) => {
      const visible = value !== null && (!log || value > 0);
      if (visible) {
        const here = `${Page.chart.round(x(steps[line.steps][place]))} ${Page.chart.round(y(value))}`;
        drawn += (joined ? "L" : "M") + here;
      }
      joined = visible;
    });
    return drawn;
  };

  const axes = (picture, x, y) => {
    const bottom = HEIGHT - FOOT;
    for (const tick of y.ticks) {
      const place = Page.chart.round(y.place(tick));
      picture.append(
        svg("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: place, y2: place }),
        svg("text", { class: "tick", x: LEFT - 6, y: place + 4, "text-anchor": "end" },
          Page.chart.number(tick)));
    }
    for (const tick of x.ticks)
      picture.append(svg("text", { class: "tick", x: Page.chart.round(x.place(tick)), y: bottom + 15,
        "text-anchor": "middle" }, Page.chart.number(tick)));
    picture.append(svg("text", { class: "tick", x: (LEFT + WIDTH - RIGHT) / 2, y: HEIGHT - 6,
      "text-anchor": "middle" }, "iteration"));
  };

  const draw = (lines, title) => {
    const values = lines.flatMap((line) => finite(line.values));
    if (values.length === 0) return el("p", { class: "muted" }, "No finite values.");
    const low = values.reduce((a, b) => Math.min(a, b)), high = values.reduce((a, b) => Math.max(a, b));
    const log = low > 0 && (form === "log" || (form === "auto" && high / low > SPAN));
    const last = Math.max(...lines.map((line) => steps[line.steps].at(-1)));
    const x = Page.chart.scale({ low: 0, high: last, from: LEFT, to: WIDTH - RIGHT });
    const y = Page.chart.scale({ low, high, from: HEIGHT - FOOT, to: TOP, log });
    const picture = Page.chart.frame(WIDTH, HEIGHT, title,
      `${lines.length} curves over ${last} iterations${log ? ", on a logarithmic scale" : ""}. ` +
      "The table below has the last values.");
    axes(picture, x, y);
    const middle = means(lines);
    if (lines.length <= MANY && middle.length < lines.length)
      for (const line of lines)
        picture.append(svg("path", { class: `line seed ${Page.ink(line.variant)}`,
          d: path(line, x.place, y.place, log) }));
    for (const line of middle)
      picture.append(svg("path", { class: `line ${Page.ink(line.variant)}`,
        d: path(line, x.place, y.place, log) },
      svg("title", null, Page.variant(line.variant).label)));
    return picture;
  };

  const numbers = (lines, title) => Page.scroller(`Last values: ${title}`,
    el("table", { class: "numbers" },
      el("thead", null, el("tr", null, ["Row", "iteration", "last value", "seeds"].map((name) =>
        el("th", { scope: "col" }, name)))),
      el("tbody", null, means(lines).map((line) => el("tr", null,
        el("th", { scope: "row" }, Page.variant(line.variant).label),
        el("td", null, String(steps[line.steps].at(-1))),
        el("td", null, line.values.at(-1) === null ? "—" : Page.chart.number(line.values.at(-1))),
        el("td", null, String(line.count)))))));

  const render = (chart) => {
    const name = chart.term + (chart.suffix ? ` (${chart.suffix})` : "");
    const title = Object.keys(data.data).length > 1 ? `${name}, ${Page.dataTitle(chart.data)}` : name;
    const id = Page.slug(`curve ${chart.term} ${chart.suffix} ${chart.data}`);
    const box = el("div");
    const card = el("article", { class: "card", "aria-labelledby": id }, Page.heading(3, id, title), box);
    const update = () => {
      const lines = chart.lines.filter((line) => Page.filter.accepts(line.variant));
      card.hidden = !Page.filter.acceptsData(chart.data) || lines.length === 0;
      if (card.hidden) return;
      Page.later.ask(box, WIDTH, HEIGHT, () => box.replaceChildren(
        draw(lines, title), Page.fold("Last values", numbers(lines, title))));
    };
    update();
    Page.filter.onChange(update);
    return { card, update };
  };

  const renderAll = () => {
    if (charts.length === 0) return null;
    const drawn = charts.map(render);
    const choice = el("select", { id: "curve-scale", onchange: () => {
      form = choice.value;
      for (const { update } of drawn) update();
    } }, [["auto", "automatic"], ["linear", "linear"], ["log", "logarithmic"]].map(([value, text]) =>
      el("option", { value }, text)));
    return Page.section("Curves",
      el("p", { class: "lead" }, "What was logged during the training, by term. A thick line is the ",
        "mean over seeds, a thin one a seed. Long curves show every n-th point."),
      el("div", { class: "tools" },
        el("span", { class: "field" }, el("label", { for: "curve-scale" }, "Scale"), choice)),
      el("div", { class: "chips legend", role: "group", "aria-label": "Variants" },
        Page.filter.variantChips()),
      el("div", { class: "cards" }, drawn.map(({ card }) => card)));
  };

  return { render: renderAll };
})();

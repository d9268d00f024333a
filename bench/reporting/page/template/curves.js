/* Training curves: a chart for each term, a color for each variant, a thin line for each seed. */

Page.curves = (() => {
  const { el, svg, data } = Page;
  const { WIDTH, number, round, tick, line } = Page.chart;
  const { steps, charts } = data.curves;
  const HEIGHT = 230, LEFT = 48, RIGHT = 12, TOP = 10, FOOT = 38;
  const MANY = 60;
  const SPAN = 20;
  let form = "auto";

  /* The mean over the seeds of each variant that were recorded at the same steps. */
  const means = (lines) => {
    const groups = new Map();
    for (const one of lines) {
      const key = `${one.variant} ${one.steps}`;
      groups.set(key, [...(groups.get(key) || []), one]);
    }
    return [...groups.values()].map((seeds) => ({ ...seeds[0], count: seeds.length,
      values: seeds[0].values.map((_, index) => {
        let sum = 0;
        for (const { values } of seeds) {
          if (values[index] === null) return null;
          sum += values[index];
        }
        return sum / seeds.length;
      }) }));
  };

  const path = (one, name, x, y, log) => {
    let drawn = "", joined = false;
    one.values.forEach((value, index) => {
      const visible = value !== null && (!log || value > 0);
      if (visible)
        drawn += `${joined ? "L" : "M"}${round(x.place(steps[one.steps][index]))} ${round(y.place(value))}`;
      joined = visible;
    });
    return svg("path", { class: `${name} ${Page.ink(one.variant)}`, d: drawn },
      svg("title", null, Page.variant(one.variant).label));
  };

  const draw = (lines, title) => {
    let low = Infinity, high = -Infinity;
    for (const { values } of lines)
      for (const value of values)
        if (value !== null) [low, high] = [Math.min(low, value), Math.max(high, value)];
    if (low > high) return el("p", { class: "muted" }, "No finite values.");
    const log = low > 0 && (form === "log" || (form === "auto" && high / low > SPAN));
    const last = Math.max(...lines.map((one) => steps[one.steps].at(-1)));
    const x = Page.chart.scale({ low: 0, high: last, from: LEFT, to: WIDTH - RIGHT });
    const y = Page.chart.scale({ low, high, from: HEIGHT - FOOT, to: TOP, log });
    const picture = Page.chart.frame(WIDTH, HEIGHT, title,
      `${lines.length} curves over ${last} iterations${log ? ", on a logarithmic scale" : ""}. ` +
      "The table below has the last values.");
    for (const value of y.ticks) {
      const at = round(y.place(value));
      picture.append(line("grid", LEFT, WIDTH - RIGHT, at, at), tick(LEFT - 6, at + 4, number(value), "end"));
    }
    picture.append(...x.ticks.map((value) => tick(x.place(value), HEIGHT - FOOT + 15, number(value))),
      tick((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, "iteration"));
    const middle = means(lines);
    if (lines.length <= MANY && middle.length < lines.length)
      picture.append(...lines.map((one) => path(one, "line seed", x, y, log)));
    picture.append(...middle.map((one) => path(one, "line", x, y, log)));
    return picture;
  };

  const numbers = (lines) => [["Row", "iteration", "last value", "seeds"], means(lines).map((one) => [
    Page.variant(one.variant).label, String(steps[one.steps].at(-1)),
    one.values.at(-1) === null ? "—" : number(one.values.at(-1)), String(one.count)])];

  const render = (chart) => Page.chart.card({
    id: `curve ${chart.term} ${chart.suffix}`, title: chart.term + (chart.suffix ? ` (${chart.suffix})` : ""),
    on: chart.data, folded: "Last values", draw, numbers, height: () => HEIGHT,
    accepts: () => Page.filter.acceptsData(chart.data),
    choose: () => chart.lines.filter((one) => Page.filter.accepts(one.variant)) });

  const renderAll = () => {
    if (charts.length === 0) return null;
    const cards = charts.map(render);
    const choice = Page.select("Scale", [["auto", "automatic"], ["linear", "linear"], ["log", "logarithmic"]],
      () => {
        form = choice.node.value;
        for (const { update } of cards) update();
      });
    return Page.section("Curves",
      el("p", { class: "lead" }, "What was logged during the training, by term. A thick line is the ",
        "mean over seeds, a thin one a seed. Long curves show every n-th point."),
      el("div", { class: "tools" }, choice.field),
      el("div", { class: "chips legend", role: "group", "aria-label": "Variants" },
        Page.filter.variantChips()),
      el("div", { class: "cards" }, cards.map(({ node }) => node)));
  };

  return { render: renderAll };
})();

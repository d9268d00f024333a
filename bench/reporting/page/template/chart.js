/* Scales and axes of the charts: plain SVG in a fixed coordinate system that grows with its box. */

Page.chart = (() => {
  const { el, svg } = Page;
  const WIDTH = 380;

  /* Round numbers between two limits: 1, 2 or 5 times a power of ten apart. */
  const ticks = (low, high, count) => {
    const rough = (high - low) / count;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough * 0.7);
    const first = Math.ceil(low / step - 1e-9);
    const found = [];
    for (let number = first; number * step <= high + step * 1e-9; number += 1) found.push(number * step);
    return found;
  };

  const powers = (low, high) => {
    const found = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1)
      for (const factor of Math.log10(high / low) < 1.5 ? [1, 2, 5] : [1]) {
        const value = factor * 10 ** power;
        if (value >= low * 0.999 && value <= high * 1.001) found.push(value);
      }
    return found.length > 5 ? found.filter((_, place) => place % Math.ceil(found.length / 5) === 0) : found;
  };

  /* A map from values to places, with its ticks. */
  const scale = ({ low, high, from, to, count = 4, log = false }) => {
    let [start, end] = [low, high];
    if (!(end > start)) {
      const edge = Math.abs(start) * 0.05 || 1;
      [start, end] = log ? [start / 1.1, end * 1.1] : [start - edge, end + edge];
    }
    const own = log ? Math.log10 : (value) => value;
    const place = (value) => from + (own(value) - own(start)) / (own(end) - own(start)) * (to - from);
    const marks = log ? powers(start, end) : [];
    return { place, ticks: marks.length > 1 ? marks : ticks(start, end, count) };
  };

  const round = (value) => Math.round(value * 10) / 10;

  const number = (value) => {
    const size = Math.abs(value);
    if (size !== 0 && (size < 0.001 || size >= 1e5)) return value.toExponential(0).replace("e+", "e");
    return String(Number(value.toPrecision(4)));
  };

  /* Text cut in the middle where it would not fit, since names of variants often differ at their end
     alone; the whole of it shows on hovering. */
  const label = (text, most, attributes) => {
    const letters = [...text], end = Math.floor((most - 1) / 2);
    const short = letters.length <= most ? text
      : `${letters.slice(0, most - 1 - end).join("")}…${letters.slice(-end).join("")}`;
    return svg("text", attributes, short, short === text ? null : svg("title", null, text));
  };

  const frame = (width, height, title, description) => {
    const ids = [Page.slug("title"), Page.slug("description")];
    return svg("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img",
      "aria-labelledby": ids.join(" ") },
    svg("title", { id: ids[0] }, title), svg("desc", { id: ids[1] }, description));
  };

  /* A card with a chart that follows the filter. `accepts` says whether it is shown at all, `choose`
     returns what is shown; of that, `draw` makes the picture, `numbers` the rows of its table, and
     `height` says how high the picture is. */
  const card = ({ id, title, on, folded, accepts, choose, draw, numbers, height, below }) => {
    const full = Page.titleOn(title, on), slug = Page.slug(`${id} ${on}`);
    const box = el("div");
    const node = el("article", { class: "card", "aria-labelledby": slug }, Page.heading(3, slug, full), box,
      below ? el("p", { class: "protocol" }, below) : null);
    const update = () => {
      const shown = choose();
      node.hidden = !accepts() || shown.length === 0;
      if (!node.hidden)
        Page.later.ask(box, WIDTH, height(shown), () => box.replaceChildren(draw(shown, full),
          Page.fold(folded, Page.scroller([folded, full, below].filter(Boolean).join(": "), table(...numbers(shown))))));
    };
    update();
    Page.filter.onChange(update);
    return { node, update };
  };

  const table = (heads, rows) => el("table", { class: "numbers" },
    el("thead", null, el("tr", null, heads.map((head) => el("th", { scope: "col" }, head)))),
    el("tbody", null, rows.map(([head, ...cells]) => el("tr", null, el("th", { scope: "row" }, head),
      cells.map((cell) => el("td", null, cell))))));

  /* Text on an axis. */
  const tick = (x, y, text, anchor = "middle") =>
    svg("text", { class: "tick", x: round(x), y: round(y), "text-anchor": anchor }, text);

  const line = (name, x1, x2, y1, y2, ...children) =>
    svg("line", { class: name, x1, x2, y1, y2 }, ...children);

  return { WIDTH, scale, number, label, frame, round, card, tick, line };
})();

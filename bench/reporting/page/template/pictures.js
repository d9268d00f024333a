/* What the models draw, side by side, the controls first; by class and by seed. */

Page.pictures = (() => {
  const { el, data } = Page;
  const TILE = 32;

  const image = (panel, alt) => el("img", { src: `data:image/png;base64,${panel.png}`, alt,
    width: panel.size[0], height: panel.size[1], decoding: "async",
    class: panel.pixels ? "pixels" : null });

  /* Pixels of the page for one pixel of an image: whole, so that small images stay sharp. */
  const enlarged = (panel) => {
    const side = panel.size[1] / panel.rows;
    return panel.pixels ? Math.max(1, Math.round(TILE / side)) : 1;
  };

  /* The whole sheet, or the row of one class. */
  const sheet = (panel, row, alt) => {
    const width = panel.size[0] * enlarged(panel);
    const box = el("div", { class: "sheet" }, image(panel, alt));
    box.style.width = `${width}px`;
    box.style.setProperty("--columns", panel.columns);
    box.style.setProperty("--rows", row === null ? panel.rows : 1);
    const shown = row === null ? panel.rows : 1;
    box.style.aspectRatio = `${panel.size[0]} / ${panel.size[1] * shown / panel.rows}`;
    if (row !== null) box.firstChild.style.top = `${-100 * row}%`;
    const names = row === null && panel.classes.length > 1
      ? el("div", { class: "classes", "aria-hidden": "true" },
        panel.classes.map((name) => el("span", { title: name }, name))) : null;
    return el("div", { class: "labeled" }, names, box);
  };

  const render = (group) => {
    const several = Object.keys(data.data).length > 1;
    const title = several ? `${group.title}, ${Page.dataTitle(group.data)}` : group.title;
    const id = Page.slug(`${group.name} ${group.data}`);
    const names = group.panels.reduce((longest, panel) =>
      panel.classes.length > longest.length ? panel.classes : longest, []);
    const seeds = [...new Set(group.panels.map((panel) => panel.seed))]
      .filter((seed) => seed !== null).sort((one, other) => one - other);
    const grid = el("div", { class: "panels" });

    const select = (label, options) => {
      const key = Page.slug(`${id} ${label}`);
      const node = el("select", { id: key, onchange: () => update() },
        options.map(([value, text]) => el("option", { value }, text)));
      return { node, field: el("span", { class: "field" }, el("label", { for: key }, label), node) };
    };
    const byClass = select("Class", [["", "all"], ...names.map((name, row) => [row, name])]);
    const bySeed = select("Seed", [...seeds.map((seed) => [seed, seed]), ["", "all"]]);

    const update = () => {
      const row = names.length > 1 && byClass.node.value !== "" ? Number(byClass.node.value) : null;
      const seed = seeds.length > 1 ? bySeed.node.value : "";
      const article = grid.closest("article");
      const shown = group.panels.filter((panel) => Page.filter.accepts(panel.variant)
        && (panel.seed === null || seed === "" || String(panel.seed) === seed)
        && (row === null || row < panel.classes.length));
      if (article) article.hidden = !Page.filter.acceptsData(group.data) || shown.length === 0;
      grid.classList.toggle("strips", row !== null);
      grid.replaceChildren(...shown.map((panel) => {
        const name = [Page.variant(panel.variant).label, Page.seedText(panel.seed)]
          .filter(Boolean).join(", ");
        const what = row === null
          ? (panel.rows > 1 ? `, ${panel.rows} rows of ${panel.columns}` : "") : `, class ${names[row]}`;
        return el("figure", null, el("figcaption", null, name),
          sheet(panel, row, `${group.title} of ${name}${what}`));
      }));
    };
    update();
    Page.filter.onChange(update);
    return el("article", { "aria-labelledby": id }, Page.heading(3, id, title),
      group.caption ? el("p", { class: "lead" }, group.caption) : null,
      group.notes.map((note) => el("p", { class: "muted" }, note)),
      el("div", { class: "tools" }, names.length > 1 ? byClass.field : null,
        seeds.length > 1 ? bySeed.field : null), grid);
  };

  return { render: () => data.pictures.length === 0 ? null
    : Page.section("Pictures", data.pictures.map(render)) };
})();

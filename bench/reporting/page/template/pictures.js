/* What the models draw, side by side, the controls first; by class and by seed. */

Page.pictures = (() => {
  const { el, data } = Page;
  const TILE = 32;

  /* The whole sheet, or the row of one class. */
  const sheet = (panel, row, alt) => {
    const [width, height] = panel.size;
    const rows = row === null ? panel.rows : 1;
    const image = el("img", { src: `data:image/png;base64,${panel.png}`, alt, width, height,
      decoding: "async", class: panel.pixels ? "pixels" : null });
    if (row !== null) image.style.top = `${-100 * row}%`;
    const box = el("div", { class: "sheet" }, image);
    /* Pixels of the page for one pixel of an image: whole, so that small images stay sharp. */
    const enlarged = panel.pixels ? Math.max(1, Math.round(TILE * panel.rows / height)) : 1;
    box.style.width = `${width * enlarged}px`;
    box.style.aspectRatio = `${width} / ${height * rows / panel.rows}`;
    box.style.setProperty("--columns", panel.columns);
    box.style.setProperty("--rows", rows);
    const names = row === null && panel.classes.length > 1
      ? el("div", { class: "classes", "aria-hidden": "true" },
        panel.classes.map((name) => el("span", { title: name }, name))) : null;
    return el("div", { class: "labeled" }, names, box);
  };

  const render = (group) => {
    const id = Page.slug(`${group.name} ${group.data}`);
    const names = group.panels.reduce((longest, panel) =>
      panel.classes.length > longest.length ? panel.classes : longest, []);
    const seeds = [...new Set(group.panels.map((panel) => panel.seed))]
      .filter((seed) => seed !== null).sort((one, other) => one - other);
    const update = () => {
      const row = names.length > 1 && byClass.node.value !== "" ? Number(byClass.node.value) : null;
      const seed = seeds.length > 1 ? bySeed.node.value : "";
      const shown = group.panels.filter((panel) => Page.filter.accepts(panel.variant)
        && (panel.seed === null || seed === "" || String(panel.seed) === seed)
        && (row === null || row < panel.classes.length));
      article.hidden = !Page.filter.acceptsData(group.data) || shown.length === 0;
      grid.classList.toggle("strips", row !== null);
      grid.replaceChildren(...shown.map((panel) => {
        const name = [Page.variant(panel.variant).label, Page.seedText(panel.seed)]
          .filter(Boolean).join(", ");
        const part = row === null
          ? (panel.rows > 1 ? `, ${panel.rows} rows of ${panel.columns}` : "") : `, class ${names[row]}`;
        return el("figure", null, el("figcaption", null, name),
          sheet(panel, row, `${group.title} of ${name}${part}`));
      }));
    };
    const byClass = Page.select("Class", [["", "all"], ...names.map((name, row) => [row, name])], update);
    const bySeed = Page.select("Seed", [...seeds.map((seed) => [seed, seed]), ["", "all"]], update);
    const grid = el("div", { class: "panels" });
    const article = el("article", { "aria-labelledby": id },
      Page.heading(3, id, Page.titleOn(group.title, group.data)),
      group.caption ? el("p", { class: "lead" }, group.caption) : null,
      group.notes.map((note) => el("p", { class: "muted" }, note)),
      el("div", { class: "tools" }, names.length > 1 ? byClass.field : null,
        seeds.length > 1 ? bySeed.field : null), grid);
    update();
    Page.filter.onChange(update);
    return article;
  };

  return { render: () => data.pictures.length === 0 ? null
    : Page.section("Pictures", data.pictures.map(render)) };
})();

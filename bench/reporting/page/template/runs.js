/* Configuration and provenance: what all runs of a sweep share, what differs, and every run. */

Page.runs = (() => {
  const { el, data } = Page;
  const FEW = 25;

  const id = (sweep, run) => `run-${sweep}-${run}`.replace(/\s+/g, "-");

  const pairs = (rows, label) => Page.scroller(label, el("table", { class: "pairs" },
    el("tbody", null, rows.map(([key, value]) =>
      el("tr", null, el("th", { scope: "row" }, key), el("td", null, el("code", null, value)))))));

  /* Settings that differ, a column for each variant; those that differ from one chosen are marked. */
  const differing = ({ variants, rows }, name) => {
    const labels = variants.map((index) => Page.variant(index).label);
    const choice = Page.select("Marked where other than in", [...labels.entries()], () => update());
    const body = el("tbody");
    const heads = labels.map((label) => el("th", { scope: "col" }, label));
    const update = () => {
      const base = Number(choice.node.value);
      const hidden = variants.map((index, number) => number !== base && !Page.filter.accepts(index));
      heads.forEach((head, number) => { head.hidden = hidden[number]; });
      body.replaceChildren(...rows.map(({ key, values }) => el("tr", null,
        el("th", { scope: "row" }, key),
        values.map((value, number) => {
          const other = value !== values[base];
          return el("td", { class: other ? "other" : null, hidden: hidden[number] },
            value === null ? el("span", { class: "muted" }, "–", el("span", { class: "unseen" }, "absent"))
            : el("code", null, value),
            other ? el("span", { class: "unseen" }, " (differs)") : null);
        }))));
    };
    update();
    Page.filter.onChange(update);
    return [
      el("div", { class: "tools" }, choice.field),
      Page.scroller(`Settings that differ, ${name}`, el("table", { class: "diff" },
        el("thead", null, el("tr", null, el("th", { scope: "col" }, "Setting"), heads)), body)),
    ];
  };

  const differences = ({ differing: { variants, rows }, sweep }) => {
    const fold = Page.fold(`Settings that differ (${rows.length})`, differing({ variants, rows }, sweep));
    fold.open = rows.length <= FEW;
    return fold;
  };

  const shared = (rows, what, sweep) => rows.length ? Page.fold(`${what} that all share (${rows.length})`,
    pairs(rows, `${what} that all runs of ${sweep} share`)) : null;

  const one = (sweep, run) => {
    const label = Page.variant(run.variant).label;
    const node = Page.fold(
      [el("span", { class: `state state-${run.state}` }, run.state), " ",
        [label, Page.seedText(run.seed)].filter(Boolean).join(", "), " ",
        el("code", null, run.run)],
      el("dl", null,
        el("dt", null, "Folder"), el("dd", null, el("code", null, run.folder)),
        el("dt", null, "Data"), el("dd", null, Page.dataTitle(run.data)),
        el("dt", null, run.state === "done" ? "Made by" : "Finished by"),
        el("dd", null, Page.command(run.command)),
        run.own.map(([key, value]) => [el("dt", null, key), el("dd", null, el("code", null, value))])),
      run.failure ? Page.scroller(`Why ${label} failed`, el("pre", null, run.failure)) : null);
    node.id = id(sweep, run.run);
    return { run, node };
  };

  /* The runs of one variant, behind one line. */
  const group = (runs) => {
    const states = {};
    for (const { run } of runs) states[run.state] = (states[run.state] || 0) + 1;
    const text = Page.overview.stateText(states);
    return Page.fold([Page.variant(runs[0].run.variant).label,
      el("span", { class: "muted" }, ` ${text}`)], runs.map(({ node }) => node));
  };

  const render = (described) => {
    const sweep = data.sweeps.find((other) => other.name === described.sweep);
    const key = Page.slug(`runs ${described.sweep}`);
    const groups = new Map();
    for (const run of described.runs)
      groups.set(run.variant, [...(groups.get(run.variant) || []), one(described.sweep, run)]);
    const folds = [...groups].map(([variant, runs]) => ({ variant, runs, node: group(runs) }));
    const article = el("article", { "aria-labelledby": key },
      Page.heading(3, key, sweep.title || sweep.name),
      described.differing.rows.length
        ? el("div", { class: "folds" }, differences(described)) : null,
      el("div", { class: "folds" },
        shared(described.shared, "Settings", described.sweep),
        shared(described.provenance, "Provenance", described.sweep)),
      el("h4", null, `Runs (${described.runs.length})`),
      el("div", { class: "folds" }, folds.map(({ node }) => node)));
    const update = () => {
      for (const { variant, runs, node } of folds) {
        for (const { run, node: fold } of runs) fold.hidden = !Page.filter.acceptsData(run.data);
        node.hidden = !Page.filter.accepts(variant) || runs.every(({ node: fold }) => fold.hidden);
      }
      article.hidden = folds.every(({ node }) => node.hidden);
    };
    Page.filter.onChange(update);
    return article;
  };

  return { id, render: () => Page.section("Runs", data.runs.map(render)) };
})();

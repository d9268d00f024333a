/* What was run, and how far it is. */

Page.overview = (() => {
  const { el, data } = Page;
  const STATES = ["done", "trained", "failed", "unfinished", "missing"];

  const stateText = (states) => STATES
    .filter((state) => states[state])
    .map((state) => `${states[state]} ${state}`).join(", ") || "no runs";

  const meter = (states) => el("span", { class: "meter", "aria-hidden": "true" },
    STATES.filter((state) => states[state]).map((state) => {
      const part = el("span", { class: `state-${state}` });
      part.style.flexGrow = states[state];
      return part;
    }));

  const sweep = (one) => el("li", { class: "card" },
    data.sweeps.length > 1 ? el("strong", null, one.title || one.name) : null,
    el("p", { class: "muted" }, `${one.name} · ${one.data.map(Page.dataTitle).join(", ")}`),
    meter(one.states),
    el("p", null, one.progress),
    Page.command(one.command));

  /* Runs that are not done, each with a link to what is known of it. */
  const unfinished = () => {
    const left = data.runs.flatMap(({ sweep: name, runs }) => runs
      .filter((run) => run.state !== "done" && run.state !== "missing")
      .map((run) => el("li", null,
        el("a", { href: `#${Page.runs.id(name, run.run)}` },
          `${Page.variant(run.variant).label} ${Page.seedText(run.seed)}`.trim()),
        ` ${run.state}`,
        run.failure ? `: ${run.failure.split("\n").pop()}` : "")));
    if (left.length === 0) return null;
    const list = el("ul", null, left);
    const text = `Runs that are trained, failed or unfinished: ${left.length}`;
    return el("div", { class: "warning" },
      left.length > 8 ? Page.fold(text, list) : [el("p", null, text), list]);
  };

  const render = () => [
    el("h1", null, data.title),
    data.summary.length ? el("div", { class: "summary", id: Page.slug("what it shows") },
      data.summary.map((sentence) => el("p", null, sentence)),
      data.summary.join().includes("±") ? el("p", { class: "muted" }, "After ±: half-width of a 95 % interval; ",
        "for a difference, of the interval that matches its corrected test.") : null) : null,
    el("ul", { class: "sweeps" }, data.sweeps.map(sweep)),
    unfinished(),
  ];

  return { render, stateText };
})();

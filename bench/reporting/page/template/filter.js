/* One filter for the whole page: words, and chips for sweeps, data sets, metrics and variants. */

Page.filter = (() => {
  const { el, data } = Page;
  const wanted = { sweep: new Set(), data: new Set(), metric: new Set(), variant: new Set() };
  const listeners = [];
  const chips = [];
  let words = [];

  const holds = (text) => words.every((word) => text.toLowerCase().includes(word));
  const passes = (kind, value) => wanted[kind].size === 0 || wanted[kind].has(value);

  const key = (index) => `${data.variants[index].sweep}/${data.variants[index].name}`;

  /* Whether a row is shown; one that belongs to no single sweep has only its label. */
  const accepts = (index, label) => {
    const variant = Page.variant(index);
    if (variant === null) return holds(label || "");
    if (!holds(`${variant.label} ${variant.sweep} ${variant.model}`)) return false;
    return passes("sweep", variant.sweep) && (variant.control || passes("variant", key(index)));
  };

  const acceptsData = (name) => passes("data", name);
  const acceptsColumn = (column) => acceptsData(column.data) && passes("metric", column.metric);

  const changed = () => {
    for (const { kind, value, button } of chips)
      button.setAttribute("aria-pressed", String(wanted[kind].has(value)));
    for (const listener of listeners) listener();
    const shown = data.variants.filter((_, index) => accepts(index)).length;
    counter.textContent = `${shown} of ${data.variants.length} rows`;
    const number = Object.values(wanted).reduce((sum, values) => sum + values.size, 0);
    title.textContent = number ? `Filter (${number})` : "Filter";
    clear.hidden = number === 0 && words.length === 0;
  };

  /* Show these of a kind alone; of none all. */
  const choose = (kind, values) => {
    wanted[kind] = new Set(values);
    changed();
  };

  /* The filter as a part of an address, and back; what the page does not have is ignored. */
  const query = () => {
    const text = new URLSearchParams(search.value ? { words: search.value } : {});
    for (const [kind, values] of Object.entries(wanted))
      for (const value of values) text.append(kind, value);
    return text.toString();
  };
  const restore = (text) => {
    const asked = new URLSearchParams(text);
    write(asked.get("words") || "");
    for (const kind of Object.keys(wanted)) {
      const known = new Set(chips.filter((one) => one.kind === kind).map(({ value }) => value));
      wanted[kind] = new Set(asked.getAll(kind).filter((value) => known.has(value)));
    }
    changed();
  };

  /* A button that takes part in the filter; the same value may have several. */
  const chip = (kind, value, label, swatch) => {
    const toggle = () => {
      if (!wanted[kind].delete(value)) wanted[kind].add(value);
      changed();
    };
    const pressed = String(wanted[kind].has(value));
    const attributes = { type: "button", class: "chip", "aria-pressed": pressed, onclick: toggle };
    const button = el("button", attributes, swatch || null, label);
    chips.push({ kind, value, button });
    return button;
  };

  const variantChips = () => data.variants
    .map((variant, index) => (variant.control ? null
      : chip("variant", key(index), variant.label, Page.swatch(index))))
    .filter(Boolean);

  const group = (legend, buttons) =>
    buttons.length > 1
      ? el("fieldset", null, el("legend", null, legend), el("div", { class: "chips" }, buttons)) : null;

  /* Each metric of the tables once, in their order. */
  const metrics = new Map(data.tables.flatMap(({ columns }) => columns)
    .filter(({ view }) => view === "value").map(({ metric, title }) => [metric, title]).reverse());

  const search = el("input", {
    type: "search", id: "words", placeholder: "Filter by name", autocomplete: "off",
    "aria-label": "Filter rows by name", oninput: () => {
      write(search.value);
      changed();
    },
  });
  const write = (text) => {
    if (search.value !== text) search.value = text;
    words = text.toLowerCase().split(/\s+/).filter(Boolean);
  };
  const title = el("span", null, "Filter");
  const counter = el("output", { for: "words" });
  const clear = el("button", { type: "button", class: "quiet", hidden: true, onclick: () => {
    for (const values of Object.values(wanted)) values.clear();
    write("");
    changed();
    search.focus();
  } }, "Show all");

  const render = () => {
    const groups = [
      group("Sweep", data.sweeps.map((sweep) => chip("sweep", sweep.name, sweep.name))),
      group("Data", Object.keys(data.data).map((name) => chip("data", name, Page.dataTitle(name)))),
      group("Metric", [...metrics].reverse().map(([name, text]) => chip("metric", name, text))),
      group("Variant", variantChips()),
    ].filter(Boolean);
    const fold = groups.length
      ? el("details", { class: "filters", "data-screen": true },
        el("summary", null, title), el("div", { class: "panel" }, groups)) : null;
    return el("div", { class: "filter", role: "search" }, search, fold, counter, clear);
  };

  return { render, accepts, acceptsData, acceptsColumn, variantChips, changed, choose, query, restore,
    wanted: (kind) => [...wanted[kind]],
    onChange: (listener) => { listeners.push(listener); } };
})();

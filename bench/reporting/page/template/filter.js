/* One filter for the whole page: words, and chips for sweeps, data sets and variants. */

Page.filter = (() => {
  const { el, data } = Page;
  const wanted = { sweep: new Set(), data: new Set(), variant: new Set() };
  const listeners = [];
  const chips = [];
  let words = [];

  const holds = (text) => words.every((word) => text.toLowerCase().includes(word));
  const passes = (kind, value) => wanted[kind].size === 0 || wanted[kind].has(value);

  /* Whether a row is shown; one that belongs to no single sweep has only its label. */
  const accepts = (index, label) => {
    const variant = Page.variant(index);
    if (variant === null) return holds(label || "");
    if (!holds(`${variant.label} ${variant.sweep} ${variant.model}`)) return false;
    return passes("sweep", variant.sweep) && (variant.control || passes("variant", index));
  };

  const acceptsData = (name) => passes("data", name);

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
      : chip("variant", index, variant.label, Page.swatch(index))))
    .filter(Boolean);

  const group = (legend, buttons) =>
    buttons.length > 1
      ? el("fieldset", null, el("legend", null, legend), el("div", { class: "chips" }, buttons)) : null;

  const search = el("input", {
    type: "search", id: "words", placeholder: "Filter by name", autocomplete: "off",
    "aria-label": "Filter rows by name", oninput: () => {
      words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      changed();
    },
  });
  const title = el("span", null, "Filter");
  const counter = el("output", { for: "words" });
  const clear = el("button", { type: "button", class: "quiet", hidden: true, onclick: () => {
    for (const values of Object.values(wanted)) values.clear();
    search.value = "";
    words = [];
    changed();
    search.focus();
  } }, "Show all");

  const render = () => {
    const groups = [
      group("Sweep", data.sweeps.map((sweep) => chip("sweep", sweep.name, sweep.name))),
      group("Data", Object.keys(data.data).map((name) => chip("data", name, Page.dataTitle(name)))),
      group("Variant", variantChips()),
    ].filter(Boolean);
    const fold = groups.length
      ? el("details", { class: "filters", "data-screen": true },
        el("summary", null, title), el("div", { class: "panel" }, groups)) : null;
    return el("div", { class: "filter", role: "search" }, search, fold, counter, clear);
  };

  return { render, accepts, acceptsData, variantChips, changed,
    onChange: (listener) => { listeners.push(listener); } };
})();

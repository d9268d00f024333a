"use strict";
/* What every part needs: the description, elements, names of variants. Text from the record enters
   the page as text nodes and attribute values only, never as markup. */

const Page = {};

Page.data = JSON.parse(document.getElementById("description").textContent);

/* Fill an element: attributes by name, listeners by their event ("onclick"), then children. */
Page.fill = (node, attributes, children) => {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (typeof value === "function") node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
};

Page.el = (tag, attributes, ...children) =>
  Page.fill(document.createElement(tag), attributes, children);

Page.svg = (tag, attributes, ...children) =>
  Page.fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

/* A word that is valid behind a # and that no other part of the page has. */
Page.slug = (() => {
  const taken = new Set([...document.querySelectorAll("[id]")].map((node) => node.id));
  return (text) => {
    const word = text.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "") || "part";
    let free = word;
    for (let number = 2; taken.has(free); number += 1) free = `${word}-${number}`;
    taken.add(free);
    return free;
  };
})();

/* A heading with a link to itself. */
Page.heading = (level, id, text, ...more) =>
  Page.el(`h${level}`, { id }, text, ...more,
    Page.el("a", { class: "permalink", href: `#${id}`, "aria-label": `Link to ${text}` }, "#"));

Page.section = (name, ...children) => {
  const id = Page.slug(name);
  return Page.el("section", { "aria-labelledby": id }, Page.heading(2, id, name), ...children);
};

/* Say something to those who listen instead of looking. */
Page.say = (text) => { document.getElementById("said").textContent = text; };

Page.copy = async (text, what) => {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = Page.el("textarea", { class: "unseen", "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  Page.say(`Copied ${what}.`);
};

Page.copyButton = (label, what, text) => {
  const button = Page.el("button", { type: "button", class: "quiet", "aria-label": `Copy ${what}` }, label);
  button.addEventListener("click", async () => {
    await Page.copy(text, what);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = label; }, 1500);
  });
  return button;
};

Page.command = (command) =>
  Page.el("span", { class: "command" }, Page.el("code", null, command),
    Page.copyButton("Copy", `the command ${command}`, command));

/* A part that can be opened; on paper it is open. */
Page.fold = (summary, ...children) =>
  Page.el("details", null, Page.el("summary", null, summary), ...children);

/* A box that may be wider than the screen, and then can be scrolled by keyboard too. A shadow lies at
   each side on which it goes on. */
Page.scroller = (() => {
  const mark = (box) => {
    const { scrollLeft, scrollWidth, clientWidth } = box;
    box.parentNode.classList.toggle("more-left", scrollLeft > 1);
    box.parentNode.classList.toggle("more-right", scrollLeft + clientWidth < scrollWidth - 1);
  };
  const sizes = new ResizeObserver((entries) => {
    for (const { target } of entries) mark(target.closest(".scroller"));
  });
  return (label, content) => {
    const box = Page.el("div", { class: "scroller", role: "region", "aria-label": label, tabindex: "0",
      onscroll: () => mark(box) }, content);
    sizes.observe(box);
    sizes.observe(content);
    return Page.el("div", { class: "wide" }, box);
  };
})();

/* A choice with its label: the select and both together; `options` are values with their texts. */
Page.select = (label, options, onchange) => {
  const id = Page.slug(label);
  const node = Page.el("select", { id, onchange },
    options.map(([value, text]) => Page.el("option", { value }, text)));
  return { node, field: Page.el("span", { class: "field" }, Page.el("label", { for: id }, label), node) };
};

Page.variant = (index) => (index === null ? null : Page.data.variants[index]);
Page.dataTitle = (name) => Page.data.data[name] || name;

/* A title with the data set, where the page shows several. */
Page.titleOn = (title, name) =>
  (Object.keys(Page.data.data).length > 1 ? `${title}, ${Page.dataTitle(name)}` : title);

/* Classes for the color and the dashes of a variant; the same everywhere on the page. */
Page.ink = (() => {
  const models = [...Page.data.variants.keys()].filter((index) => !Page.data.variants[index].control);
  return (index) => {
    const number = models.indexOf(index);
    return number < 0 ? "control" : `ink${number % 8} dash${Math.floor(number / 8) % 4}`;
  };
})();

Page.swatch = (index) =>
  Page.svg("svg", { class: `swatch ${Page.ink(index)}`, viewBox: "0 0 24 8", "aria-hidden": "true" },
    Page.svg("line", { x1: 1, x2: 23, y1: 4, y2: 4 }));

/* Draw boxes one after another, so that a filter answers at once however many there are. */
Page.later = (() => {
  const waiting = new Map();
  const next = () => {
    const [box, draw] = waiting.entries().next().value || [];
    waiting.delete(box);
    if (draw) draw();
    return waiting.size > 0;
  };
  const goOn = () => { if (next()) setTimeout(goOn); };
  return {
    /* Until then the box keeps the place of its picture; a later request replaces an earlier one. */
    ask: (box, width, height, draw) => {
      box.style.aspectRatio = `${width} / ${height}`;
      if (waiting.size === 0) setTimeout(goOn);
      waiting.set(box, () => { box.style.aspectRatio = ""; draw(); });
    },
    all: () => { while (next()); },
  };
})();

Page.seedText = (seed) => (seed === null ? "" : `seed ${seed}`);

/* Put the parts together; follow links into folded parts; unfold everything for paper. */

Page.start = () => {
  const { el, data } = Page;
  const byId = (name) => document.getElementById(name);

  byId("top").append(...Page.overview.render().filter(Boolean));
  const sections = [Page.tables, Page.seeds, Page.pictures, Page.curves, Page.runs]
    .map((part) => part.render()).filter(Boolean);
  byId("main").replaceChildren(...sections);
  byId("bar").append(
    el("ul", { class: "links" }, sections.map((section) => {
      const target = section.getAttribute("aria-labelledby");
      return el("li", null, el("a", { href: `#${target}` }, section.querySelector("h2").firstChild.data));
    })),
    Page.filter.render());
  byId("bottom").append(el("p", null,
    `Made from the record by ${data.made}. The same record gives the same file.`));
  Page.filter.changed();

  /* Open what a link points into, so that it can be seen. */
  const reveal = () => {
    const target = byId(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    for (let node = target; node; node = node.parentElement)
      if (node.tagName === "DETAILS") node.open = true;
    target.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  reveal();

  let folded = [];
  addEventListener("beforeprint", () => {
    Page.later.all();
    folded = [...document.querySelectorAll("main details:not([open]), header details:not([open])")];
    for (const node of folded) node.open = true;
  });
  addEventListener("afterprint", () => { for (const node of folded) node.open = false; });

  /* Escape closes the filter, and a click beside it as well. */
  const panel = document.querySelector("details.filters");
  if (panel) {
    panel.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      panel.open = false;
      panel.querySelector("summary").focus();
    });
    document.addEventListener("click", (event) => {
      if (!panel.contains(event.target)) panel.open = false;
    });
  }
};

Page.start();

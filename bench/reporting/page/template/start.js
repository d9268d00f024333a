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

  /* The address holds a part of the page, and the filter behind it: #summary&metric=fid */
  const [anchor, asked] = (() => {
    const parts = () => /^#?(.*?)(?:&((?:sweep|data|metric|variant|words)=.*))?$/.exec(location.hash);
    return [() => parts()[1], () => parts()[2]];
  })();
  const remember = () => {
    const filter = Page.filter.query();
    const hash = anchor() || filter ? `#${anchor()}${filter && `&${filter}`}` : "";
    if (hash !== location.hash) history.replaceState(null, "", hash || "#");
  };

  /* The part that the address names; null where it has no such part. */
  const named = () => {
    try {
      return byId(decodeURIComponent(anchor()));
    } catch {
      return null;
    }
  };

  /* Open what a link points into, so that it can be seen; what is drawn later would move it. */
  const reveal = () => {
    if (asked()) Page.filter.restore(asked());
    remember();
    const target = named();
    if (!target) return;
    Page.later.all();
    for (let node = target; node; node = node.parentElement)
      if (node.tagName === "DETAILS") node.open = true;
    target.scrollIntoView();
  };
  Page.filter.changed();
  Page.filter.onChange(remember);
  addEventListener("hashchange", reveal);
  reveal();
  Page.paper.follow();

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

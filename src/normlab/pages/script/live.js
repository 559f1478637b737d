// What pages do in a browser: interactive figures (drawn by Vega-Lite, which is bundled with this file), figures that open
// large on a tap, data as CSV, and folded parts that open for print. Without it a page shows its still pictures.
(async () => {
  "use strict";
  window.vegaEmbed = vegaEmbed; // DVC's page of plots draws with it, at once: .dvc/plots/page.html
  const DASHES = [[1, 0], [7, 3], [2, 2], [9, 3, 2, 3], [5, 5], [1, 3]]; // one a learning rate
  const SHAPES = ["circle", "square", "diamond", "triangle-down", "triangle-up", "cross", "triangle-right", "triangle-left"];
  const MARKS = 8; // shapes along a line
  const LIGHTER = { "#332288": "#8f83e0", "#882255": "#d873a6", "#6E6E6E": "#a8a8a8", "#7A7A1F": "#b9b94a", "#0072B2": "#3a9bdc" };
  const LABEL = // of an axis, where there is one: a few digits, powers of ten for what is large or small
    "datum.label === '' ? '' : abs(datum.value) >= 1e5 || (datum.value != 0 && abs(datum.value) < 1e-3) " +
    "? format(datum.value, '.1~e') : format(datum.value, '.4~g')";
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const rateName = (rate) => (rate < 1e-4 ? rate.toExponential().replace(/e-(\d)$/, "e-0$1") : String(rate)); // as in titles
  const element = (name, properties = {}, ...inside) => {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...inside);
    return made;
  };

  // --- data ---------------------------------------------------------------------------------------------------------
  const figures = (await Promise.all([...document.querySelectorAll("figure")].map(async (figure) => {
    const packed = figure.querySelector("script[type='application/json+gzip']");
    return packed ? [{ figure, data: JSON.parse(await unpacked(packed)), panels: [], stale: true, near: false }] : [];
  }))).flat();
  const union = (pick) => [...new Set(figures.flatMap(({ data }) => pick(data)))];
  const kinds = new Map(figures.flatMap(({ data }) => data.kinds).map((kind) => [kind.name, kind]));
  const rates = union((data) => data.runs.map((run) => run.rate)).sort((a, b) => a - b);
  const seeds = union((data) => data.runs.map((run) => run.seed)).sort((a, b) => a - b);
  const state = {
    kinds: new Set(figures.length ? figures[0].data.shown : []),
    rates: new Set(union((data) => [data.rate])),
    seeds: new Set(seeds),
    scale: "drawn",
    x: "step",
    paper: true,
  };

  function rows(data, panel, log) {
    const made = [];
    for (const run of data.runs) {
      const shown = state.kinds.has(run.kind) && state.rates.has(run.rate) && state.seeds.has(run.seed);
      if (run.panel !== panel || !shown) continue;
      const across = state.x === "step" ? run.x : run.progress;
      if (!across) continue;
      const every = Math.max(1, Math.ceil(run.x.length / MARKS));
      run.x.forEach((step, place) => {
        const low = run.low[place], high = run.high ? run.high[place] : low;
        const finite = low !== null && high !== null;
        if (across[place] === null || (finite && log && !(low > 0))) return;
        made.push({
          kind: kinds.get(run.kind).label, rate: run.rate, seed: run.seed, step, x: across[place], low, high,
          finite, marked: place % every === 0,
        });
      });
    }
    return made;
  }

  function paperRows(data, panel, log) {
    if (!state.paper || state.x !== "step") return [];
    return data.paper.filter((curve) => curve.panel === panel && state.kinds.has(curve.kind)).flatMap((curve) =>
      ["low", "high"].filter((side) => curve[side]).flatMap((side) => curve.x.map((x, place) => ({
        kind: kinds.get(curve.kind).label, side, x, value: curve[side][place],
      }))).filter((row) => row.value !== null && (!log || row.value > 0)));
  }

  // --- one panel as a Vega-Lite specification -----------------------------------------------------------------------
  function specification(data, place) {
    const panel = data.panels[place];
    const band = data.runs.some((run) => run.panel === place && run.high);
    const log = state.scale === "log" || (state.scale === "drawn" && panel.log);
    const names = [...kinds.values()];
    const color = {
      field: "kind", type: "nominal", legend: null,
      scale: { domain: names.map((kind) => kind.label), range: names.map((kind) => shade(kind.color)) },
    };
    const dash = { field: "rate", type: "nominal", legend: null, scale: { domain: rates, range: DASHES } };
    const vertical = log ? { type: "log", nice: false } : { type: "linear", zero: false, nice: true };
    if (panel.percent && !log) vertical.domain = [0, 100];
    const y = (field) => ({ field, type: "quantitative", scale: vertical, axis: { title: null, tickCount: 6, labelExpr: LABEL } });
    const title = state.x === "step" ? "training step" : "train accuracy (%)";
    const x = { field: "x", type: "quantitative", scale: { zero: false, nice: false }, axis: { title, tickCount: 5, labelExpr: "format(datum.value, '~s')" } };
    const by = ["kind", "rate", "x"];
    const over = (operation, field, as) => ({ op: operation, field, as });
    const finite = { filter: "datum.finite" };
    const medians = [finite, {
      aggregate: [
        over("median", "low", "low"), over("median", "high", "high"), over("min", "low", "least"),
        over("max", "high", "greatest"), over("distinct", "seed", "seeds"), over("max", "marked", "marked"),
      ],
      groupby: by,
    }];
    const perSeed = state.x !== "step";
    const line = (field) => ({
      transform: perSeed ? [finite] : medians,
      mark: { type: "line", strokeWidth: band ? 1.2 : 1.8, opacity: perSeed ? 0.7 : 1, interpolate: "linear" },
      encoding: { x, y: y(field), color, strokeDash: dash, ...(perSeed ? { detail: { field: "seed" }, order: { field: "step" } } : {}) },
    });
    const area = (low, high, opacity) => ({
      transform: medians, mark: { type: "area", opacity },
      encoding: { x, y: y(low), y2: { field: high }, color, detail: { field: "rate" } },
    });
    const number = (field, title) => ({ field, title, format: ".4~g" });
    const tooltip = [
      { field: "kind", title: "normalizer" }, number("rate", "learning rate"), number("x", title),
      ...(perSeed ? [{ field: "seed", title: "seed" }, number("step", "step"), number(band ? "high" : "low", panel.title)] : [
        ...(band ? [number("low", "lower edge, median"), number("high", "upper edge, median")] : [number("low", "median")]),
        number("least", "least"), number("greatest", "greatest"), { field: "seeds", title: "seeds" },
      ]),
    ];
    const shapes = { field: "kind", type: "nominal", legend: null, scale: { domain: names.map((kind) => kind.label), range: SHAPES } };
    const top = band ? "high" : "low";
    const values = rows(data, place, log), paper = paperRows(data, place, log);
    const layer = [
      ...(perSeed ? [] : [area("least", "greatest", 0.12), ...(band ? [area("low", "high", 0.28)] : [])]),
      line("low"), ...(band ? [line("high")] : []),
      {
        transform: [...(perSeed ? [finite] : medians), { filter: "datum.marked" }],
        mark: { type: "point", filled: true, size: 34, opacity: 1 },
        encoding: { x, y: y(top), color, shape: shapes },
      },
      ...(paper.length ? [{
        data: { values: paper },
        mark: { type: "line", strokeDash: [4, 2], strokeWidth: 1.1, opacity: 0.9 },
        encoding: { x, y: y("value"), color, detail: { field: "side" } },
      }] : []),
      ...(values.some((row) => !row.finite) ? [{
        transform: [{ filter: "!datum.finite" }],
        mark: { type: "point", shape: "triangle-up", filled: true, size: 40 },
        encoding: { x, y: { value: 0 }, color },
      }] : []),
      { // what is hovered: wide, unseen points; with `nearest`, Vega-Lite 6 loses tooltip fields that have no format
        params: [{ name: "hovered", select: { type: "point", on: "pointerover", clear: "pointerout", fields: [...by, "seed"] } }],
        transform: perSeed ? [finite] : medians,
        mark: { type: "point", filled: true, size: 240 },
        encoding: { x, y: y(top), color, tooltip, opacity: { condition: { param: "hovered", empty: false, value: 0.35 }, value: 0 } },
      },
    ];
    return {
      data: { values }, layer, width: "container", height: 210,
      autosize: { type: "fit-x", contains: "padding" }, config: looks(),
    };
  }

  const shade = (color) => (dark.matches && LIGHTER[color]) || color;

  function looks() {
    const style = getComputedStyle(document.documentElement);
    const ink = style.getPropertyValue("--ink").trim(), line = style.getPropertyValue("--line").trim();
    const font = getComputedStyle(document.body).fontFamily;
    return {
      background: null, font, aria: false, view: { stroke: null },
      axis: { labelColor: ink, titleColor: ink, tickColor: line, domainColor: line, gridColor: line, gridOpacity: 0.7,
        labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal", labelOverlap: "greedy", labelSeparation: 6 },
    };
  }

  // --- drawing ------------------------------------------------------------------------------------------------------
  async function draw(one) {
    if (!one.near || !one.stale) return;
    one.stale = false;
    if (!one.figure.classList.contains("drawn")) { // until here the still picture is in its place
      one.figure.classList.add("drawn");
      one.figure.querySelector(".panels").hidden = false;
      one.figure.querySelector("details.still").open = false;
    }
    for (const [place, panel] of one.panels.entries()) {
      const made = specification(one.data, place);
      panel.view?.finalize();
      panel.empty.hidden = made.data.values.some((row) => row.finite);
      panel.plot.hidden = !panel.empty.hidden;
      if (!panel.plot.hidden) {
        panel.view = await vegaEmbed(panel.plot, made, { actions: false, renderer: "svg", tooltip: { theme: dark.matches ? "dark" : "light" } });
      }
    }
  }

  const key = new Map(); // by normalizer its entry in the line above the figures: read where the controls are folded

  function redraw() {
    for (const [name, entry] of key) entry.hidden = !state.kinds.has(name);
    for (const one of figures) {
      one.stale = true;
      draw(one);
    }
  }

  function prepare(one) {
    const place = one.figure.querySelector(".panels");
    one.panels = one.data.panels.map((panel) => {
      const plot = element("div", { className: "plot" });
      plot.setAttribute("role", "img");
      plot.setAttribute("aria-label", `${panel.title}: ${panel.y}, against the training step; its values are in the CSV below`);
      const empty = element("p", { className: "nothing", textContent: "nothing finite to show with this choice", hidden: true });
      place.append(element("div", { className: "panel" }, element("p", { className: "title" }, element("strong", { textContent: panel.title }), panel.title.startsWith(panel.y) ? "" : ` ${panel.y}`), plot, empty));
      return { plot, empty };
    });
    new IntersectionObserver(([seen]) => {
      one.near = seen.isIntersecting;
      draw(one);
    }, { rootMargin: "400px" }).observe(one.figure);
  }

  // --- the controls, one set for all figures of the page ------------------------------------------------------------
  function choice(title, values, set, text, mark) {
    const group = element("fieldset", {}, element("legend", { textContent: title }));
    for (const value of values) {
      const box = element("input", { type: "checkbox", checked: set.has(value) });
      box.addEventListener("change", () => {
        box.checked ? set.add(value) : set.delete(value);
        redraw();
      });
      group.append(element("label", {}, box, ...(mark ? [mark(value)] : []), text(value)));
    }
    return group;
  }

  function select(title, options, key) {
    const list = element("select", {}, ...options.map(([value, text]) => element("option", { value, textContent: text })));
    list.addEventListener("change", () => {
      state[key] = list.value;
      redraw();
    });
    return element("label", {}, `${title} `, list);
  }

  function swatch(name) {
    const made = element("span", { className: "swatch" });
    const paint = () => { made.style.background = shade(kinds.get(name).color); };
    paint();
    dark.addEventListener("change", paint);
    return made;
  }

  function controls() {
    const box = element("details", { className: "controls", open: window.innerWidth > 760 && !document.querySelector(".answers, .notice") }, element("summary", {}, "What the figures show"));
    for (const name of kinds.keys()) key.set(name, element("span", { className: "named", hidden: !state.kinds.has(name) }, swatch(name), kinds.get(name).label));
    box.querySelector("summary").append(...key.values());
    box.append(choice("normalizers", [...kinds.keys()], state.kinds, (name) => kinds.get(name).label, swatch));
    if (rates.length > 1) box.append(choice("learning rates", rates, state.rates, rateName));
    if (seeds.length > 1) box.append(choice("seeds", seeds, state.seeds, String));
    const others = element("fieldset", { className: "axes" }, element("legend", { textContent: "axes" }));
    others.append(select("vertical", [["drawn", "as drawn"], ["log", "logarithmic"], ["linear", "linear"]], "scale"));
    if (figures.some(({ data }) => data.runs.some((run) => run.progress))) {
      others.append(select("horizontal", [["step", "training step"], ["progress", "train accuracy"]], "x"));
    }
    if (figures.some(({ data }) => data.paper.length)) {
      const paper = element("input", { type: "checkbox", checked: true });
      paper.addEventListener("change", () => {
        state.paper = paper.checked;
        redraw();
      });
      others.append(element("label", {}, paper, "the paper's curves, dashed"));
    }
    box.append(others);
    figures[0].figure.before(box);
  }

  // --- data, large pictures, print ----------------------------------------------------------------------------------
  function csv(data) {
    const lines = [["panel", "normalizer", "learning_rate", "seed", "step", "train_accuracy_percent", "low", "high"]];
    for (const run of data.runs) {
      run.x.forEach((step, place) => lines.push([
        data.panels[run.panel].title, run.kind, run.rate, run.seed, step, run.progress?.[place] ?? "",
        run.low[place] ?? "", run.high?.[place] ?? "",
      ]));
    }
    return lines.map((cells) => cells.map((cell) => (/[",\n]/.test(cell) ? `"${String(cell).replaceAll('"', '""')}"` : cell)).join(",")).join("\n");
  }

  async function unpacked(script) {
    const bytes = Uint8Array.from(atob(script.textContent.trim()), (letter) => letter.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  }

  function offer(figure, content) {
    const link = element("button", { type: "button", className: "csv", textContent: "data (CSV)" });
    link.addEventListener("click", async () => {
      const url = URL.createObjectURL(new Blob([await content()], { type: "text/csv" }));
      element("a", { href: url, download: `${figure.id || "figure"}.csv` }).click();
      URL.revokeObjectURL(url);
    });
    figure.querySelector("figcaption").append(" ", link);
  }

  function large(image) {
    image.tabIndex = 0;
    image.setAttribute("role", "button");
    image.title = "open large";
    image.after(element("small", { className: "hint", textContent: "tap the picture to open it large" }));
    const open = () => {
      const dialog = element("dialog", { className: "large" }, element("button", { type: "button", textContent: "close", autofocus: true }), image.cloneNode());
      dialog.setAttribute("aria-label", image.alt);
      dialog.querySelector("img").removeAttribute("role");
      dialog.addEventListener("click", () => dialog.close());
      dialog.addEventListener("close", () => { dialog.remove(); image.focus(); });
      document.body.append(dialog);
      dialog.showModal();
    };
    image.addEventListener("click", open);
    image.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); open(); }
    });
  }

  const menu = document.querySelector("nav ul"), here = menu?.querySelector("[aria-current]"); // one line on a phone
  if (here) menu.scrollLeft = here.offsetLeft - menu.clientWidth / 2 + here.offsetWidth / 2;
  if (figures.length) controls();
  figures.forEach(prepare);
  for (const figure of document.querySelectorAll("figure")) {
    const live = figures.find((one) => one.figure === figure);
    const packed = figure.querySelector("script[type='text/csv+gzip']");
    if (live) offer(figure, () => csv(live.data));
    else if (packed) offer(figure, () => unpacked(packed));
    figure.querySelectorAll("img").forEach(large);
  }
  dark.addEventListener("change", redraw);
  let folded = [];
  window.addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("main details:not([open]):not(.controls)")];
    folded.forEach((part) => { part.open = true; });
  });
  window.addEventListener("afterprint", () => folded.forEach((part) => { part.open = false; }));
})();

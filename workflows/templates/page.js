/* What the pages do: colours, tables, values under the pointer, the brain, ratings. No network. */
const all = (what, where = document) => [...where.querySelectorAll(what)];
const made = (tag, words = "", attributes = {}) => {
  const element = document.createElement(tag);
  element.textContent = words;
  Object.entries(attributes).forEach(([name, value]) => element.setAttribute(name, value));
  return element;
};
const button = (words, act) => {
  const element = made("button", words, { type: "button", class: "plain" });
  element.addEventListener("click", act);
  return element;
};
const store = {
  works: true,
  read(key) { try { return localStorage.getItem(key); } catch { this.works = false; return null; } },
  write(key, text) { try { localStorage.setItem(key, text); } catch { this.works = false; } },
};
function save(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/tab-separated-values" }));
  const link = made("a", "", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

/* Colours of the page */
const theme = document.getElementById("theme");
function setTheme(name) {
  if (name) document.documentElement.dataset.theme = name;
  else delete document.documentElement.dataset.theme;
}
theme.value = ["light", "dark"].includes(store.read("braindelta.theme")) ? store.read("braindelta.theme") : "";
setTheme(theme.value);
theme.parentElement.hidden = false;
theme.addEventListener("change", () => { setTheme(theme.value); store.write("braindelta.theme", theme.value); });

/* Tables: sorting and searching */
const value = (row, i) => row.cells[i].textContent.trim();
all("th button").forEach((head) => head.addEventListener("click", () => {
  const th = head.parentElement, table = th.closest("table"), i = th.cellIndex;
  const up = th.getAttribute("aria-sort") !== "ascending", body = table.tBodies[0];
  all("th[aria-sort]", table).forEach((other) => other.removeAttribute("aria-sort"));
  th.setAttribute("aria-sort", up ? "ascending" : "descending");
  [...body.rows].sort((a, b) => {
    const x = value(a, i), y = value(b, i), m = x === "n/a", n = y === "n/a";
    if (m || n) return m - n;
    const d = x !== "" && y !== "" && !isNaN(x) && !isNaN(y) ? x - y : x.localeCompare(y, undefined, { numeric: true });
    return up ? d : -d;
  }).forEach((row) => body.append(row));
}));
all("input[data-table]").forEach((input) => input.addEventListener("input", () => {
  const words = input.value.toLowerCase(), rows = [...document.getElementById(input.dataset.table).tBodies[0].rows];
  rows.forEach((row) => { row.hidden = !row.textContent.toLowerCase().includes(words); });
  document.querySelector(`[data-count="${input.dataset.table}"]`).textContent = `${rows.filter((r) => !r.hidden).length} rows`;
}));

/* Sessions of a participant, one over the other */
const flicker = document.getElementById("flicker");
if (flicker) {
  const choices = all('input[name="shown"]'), still = matchMedia("(prefers-reduced-motion: reduce)");
  let timer = null;
  const next = () => { choices[(choices.findIndex((c) => c.checked) + 1) % choices.length].checked = true; };
  const name = () => {
    flicker.textContent = still.matches ? "Show the next session" : timer === null ? "Switch back and forth" : "Stop";
  };
  const stop = () => { clearInterval(timer); timer = null; name(); };
  flicker.addEventListener("click", () => {
    if (timer !== null) { stop(); return; }
    next();
    if (!still.matches) { timer = setInterval(next, 800); name(); }
  });
  choices.forEach((choice) => choice.addEventListener("change", stop));
  still.addEventListener("change", stop);
  flicker.hidden = false;
  name();
}

/* Values of a picture: under the pointer, or from place to place by the arrow keys */
const REACH = 0.03;
function cellOf(grid, x, y) {
  const [left, top, right, bottom] = grid.box, n = grid.names.length;
  return [Math.floor((x - left) / (right - left) * n), Math.floor((y - top) / (bottom - top) * n)];
}
function told(grid, [column, row]) {
  const [i, j] = [Math.max(column, row), Math.min(column, row)], n = grid.names.length;
  if (j < 0 || i >= n) return null;
  const cell = i === j ? null : grid.cells[i * (i - 1) / 2 + j];
  const [left, top, right, bottom] = grid.box, words = i === j ? "itself" : cell === null ? "no value" : `${cell} ${grid.unit}`;
  const centre = [left + (column + 0.5) / n * (right - left), top + (row + 0.5) / n * (bottom - top)];
  return [...centre, `${grid.names[row]} – ${grid.names[column]}: ${words}`];
}
all(".pointed").forEach((frame) => {
  const image = frame.querySelector("img"), { spots = [], grid = null } = JSON.parse(frame.querySelector("script").textContent);
  const tip = made("div", "", { class: "tip", role: "status" }), ring = made("div", "", { class: "ring" });
  let at = -1, cell = [-1, 0], link = "";
  tip.hidden = ring.hidden = true;
  frame.append(tip, ring);
  frame.tabIndex = 0;
  frame.setAttribute("role", "group");
  frame.setAttribute("aria-label", `Values in the picture; the arrow keys go through them: ${image.alt}`);
  const hide = () => { tip.hidden = ring.hidden = true; link = ""; frame.style.cursor = ""; };
  const show = ([x, y, words, page = ""]) => {
    link = page;
    frame.style.cursor = link && "pointer";
    ring.style.left = `${100 * x}%`;
    ring.style.top = `${image.offsetTop + y * image.offsetHeight}px`;
    tip.textContent = words;
    tip.hidden = ring.hidden = false;
    tip.style.left = `${Math.max(0, Math.min(x * image.offsetWidth + 12, frame.clientWidth - tip.offsetWidth))}px`;
    tip.style.top = `${Math.max(0, y * image.offsetHeight - tip.offsetHeight - 12)}px`;
  };
  frame.addEventListener("pointermove", (event) => {
    const box = image.getBoundingClientRect(), x = (event.clientX - box.left) / box.width, y = (event.clientY - box.top) / box.height;
    const inGrid = grid && told(grid, cellOf(grid, x, y));
    if (inGrid) { show(inGrid); return; }
    const far = ([u, v]) => Math.hypot(u - x, (v - y) * box.height / box.width);
    const nearest = spots.reduce((best, spot) => (far(spot) < far(best) ? spot : best), [9, 9, ""]);
    if (far(nearest) < REACH) show(nearest); else hide();
  });
  const open = () => { if (link) location.href = link; };
  frame.addEventListener("click", open);
  frame.addEventListener("pointerleave", hide);
  frame.addEventListener("blur", hide);
  frame.addEventListener("keydown", (event) => {
    const step = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key];
    if (event.key === "Escape") hide();
    if (event.key === "Enter") open();
    if (!step) return;
    event.preventDefault();
    if (grid) {
      const last = grid.names.length - 1;
      cell = cell.map((place, k) => Math.min(last, Math.max(0, place + step[k])));
      show(told(grid, cell));
    } else if (spots.length) {
      at = (at + (step[0] + step[1] > 0 ? 1 : -1) + spots.length) % spots.length;
      show(spots[at]);
    }
  });
});

/* Wide pictures on a small screen are moved by the arrow keys */
function reachable() {
  all("figure.picture").forEach((figure) => {
    const wide = figure.scrollWidth > figure.clientWidth && !figure.querySelector("[tabindex]");
    if (wide) figure.tabIndex = 0;
    else figure.removeAttribute("tabindex");
  });
}
addEventListener("resize", reachable);
addEventListener("load", reachable);

/* The brain that can be turned */
const COLOURS = ["2d004b", "542788", "8073ac", "b2abd2", "d8daeb", "f7f7f7", "fee0b6", "fdb863", "e08214", "b35806", "7f3b08"]
  .map((text) => [0, 2, 4].map((k) => parseInt(text.slice(k, k + 2), 16)));
function colour(share) {
  const at = Math.min(1, Math.max(0, (share + 1) / 2)) * (COLOURS.length - 1), low = Math.min(Math.floor(at), COLOURS.length - 2);
  return COLOURS[low].map((c, k) => c + (at - low) * (COLOURS[low + 1][k] - c));
}
function sideNames([x, y, z]) {
  const [size, names] = [[Math.abs(x), x > 0 ? "RL" : "LR"], [Math.abs(y), y > 0 ? "AP" : "PA"], [Math.abs(z), z > 0 ? "SI" : "IS"]]
    .reduce((a, b) => (b[0] > a[0] ? b : a));
  return size > 0.5 ? [names[1], names[0]] : ["", ""];
}
const shapes = new Map();
function shapeOf(atlas) {
  const source = all("script.shape").find((element) => element.dataset.atlas === atlas);
  if (source && !shapes.has(atlas)) shapes.set(atlas, readPoints(source));
  return shapes.get(atlas);
}
function selectOf(words, options, act) {
  const label = made("label", `${words} `), select = made("select", "", { "aria-label": words });
  options.forEach(([key, text]) => select.append(made("option", text, { value: key })));
  select.addEventListener("change", () => act(select.value));
  label.append(select);
  return [label, select];
}
function brain(box) {
  const maps = JSON.parse(box.querySelector("script").textContent), points = shapeOf(box.dataset.atlas);
  if (!points) return;
  let about = maps[0], byLabel = new Map(), chosen = 0, markedOnly = false;
  const colourOf = (label) => {
    const region = byLabel.get(label);
    if (label && label === chosen) return MARK;
    return !region || (markedOnly && !region.marked) ? PLAIN : colour(region.amount / about.limit);
  };
  const stage = made("div", "", { class: "stage" }), said = made("output");
  const canvas = made("canvas", "", { tabindex: 0, role: "img", "aria-label": "Brain to turn with the arrow keys; values are in the list of regions and in the table" });
  const sides = ["first", "last"].map((name) => made("span", "", { class: `side ${name}`, "aria-hidden": "true" }));
  const view = new BrainView(canvas, points, {
    colourOf,
    isMarked: (label) => Boolean(byLabel.get(label)?.marked),
    isKnown: (label) => byLabel.has(label) && !(markedOnly && !byLabel.get(label).marked),
  });
  let waiting = false;
  const draw = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      view.draw();
      if (view.axes) sideNames(view.axes.right).forEach((name, k) => { sides[k].textContent = name; });
    });
  };
  const tell = (label) => {
    const region = byLabel.get(label);
    said.textContent = region ? `${region.name}: ${region.words}` : label ? "No value for this region." : "Drag to turn, or use the arrow keys, + and −; point at a region for its value.";
  };
  const turn = (yaw, pitch) => {
    view.yaw = yaw % 360;
    view.pitch = Math.max(-90, Math.min(90, pitch));
    draw();
  };
  const [partLabel, part] = selectOf("Show", [["whole", "whole brain"], ["left", "left half"], ["right", "right half"], ["deep", "deep regions"]], (name) => { view.part = name; draw(); });
  const [regionLabel, regions] = selectOf("Region", [], (label) => { chosen = Number(label); tell(chosen); draw(); });
  const [mapLabel] = selectOf("Value", maps.map((map, k) => [k, map.title]), (k) => show(maps[k]));
  const tools = made("div", "", { class: "tools" }), only = made("input", "", { type: "checkbox" }), onlyLabel = made("label");
  only.addEventListener("change", () => { markedOnly = only.checked; draw(); });
  onlyLabel.append(only, " significant regions only");
  mapLabel.hidden = maps.length < 2;
  tools.append(mapLabel, partLabel, regionLabel, onlyLabel, ...Object.entries(DIRECTIONS).map(([name, [yaw, pitch]]) => button(name, () => turn(yaw, pitch))));
  const title = made("p", "", { class: "soft" }), scale = made("div", "", { class: "scale" });
  const show = (map) => {
    about = map;
    byLabel = new Map(map.regions.map(([label, name, amount, words, marked]) => [label, { name, amount, words, marked }]));
    const names = map.regions.map(([label, name]) => [label, name]).sort((a, b) => a[1].localeCompare(b[1]));
    regions.replaceChildren(...[[0, "none chosen"], ...names].map(([label, name]) => made("option", name, { value: label })));
    regions.value = chosen = byLabel.has(chosen) ? chosen : 0;
    onlyLabel.hidden = !map.regions.some(([, , , , marked]) => marked);
    const most = Number(map.limit.toPrecision(2)), beyond = map.regions.some(([, , amount]) => Math.abs(amount) > 1.001 * map.limit);
    title.textContent = `${map.title} (${map.unit})`;
    scale.replaceChildren(made("span", `${beyond ? "≤ " : ""}−${most}`), made("span", "", { class: "bar" }), made("span", `${beyond ? "≥ " : ""}+${most} ${map.unit}`), made("span", `grey: no value${map.regions.some(([, , , , marked]) => marked) ? "; green edge: significant" : ""}`));
    tell(chosen);
    draw();
  };
  let from = null;
  canvas.addEventListener("pointerdown", (event) => { from = [event.clientX, event.clientY]; canvas.setPointerCapture(event.pointerId); });
  canvas.addEventListener("pointerup", () => { from = null; });
  canvas.addEventListener("pointercancel", () => { from = null; });
  canvas.addEventListener("pointermove", (event) => {
    if (!from) { tell(view.labelAt(event)); return; }
    turn(view.yaw + (event.clientX - from[0]) * 0.6, view.pitch + (event.clientY - from[1]) * 0.6);
    from = [event.clientX, event.clientY];
  });
  canvas.addEventListener("click", (event) => {
    const label = view.labelAt(event);
    chosen = byLabel.has(label) && label !== chosen ? label : 0;
    regions.value = chosen;
    draw();
  });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowRight: [10, 0], ArrowLeft: [-10, 0], ArrowDown: [0, 10], ArrowUp: [0, -10] }[event.key];
    const zoom = { "+": 1.15, "-": 1 / 1.15 }[event.key];
    if (!step && !zoom) return;
    event.preventDefault();
    if (zoom) view.zoom = Math.max(0.6, Math.min(4, view.zoom * zoom));
    turn(view.yaw + (step ? step[0] : 0), view.pitch + (step ? step[1] : 0));
  });
  stage.append(canvas, ...sides);
  box.append(title, tools, stage, scale, said);
  show(about);
  box.hidden = false;
  new IntersectionObserver((seen) => { if (seen.some((entry) => entry.isIntersecting)) draw(); }).observe(canvas);
  new ResizeObserver(draw).observe(canvas);
}
all(".brain").forEach(brain);

/* Ratings: kept in this browser, saved as the list that sessions.exclude reads */
const RATINGS = `braindelta.ratings.${document.body.dataset.study}`, CHOICES = ["good", "unsure", "exclude"];
const COLUMNS = ["participant_id", "session_id", "modality", "run"], JOIN = "\t";
let inMemory = {};
const oneLine = (text) => text.replace(/\s+/g, " ").trim();
function ratings() {
  try { return Object.assign(inMemory, JSON.parse(store.read(RATINGS) || "{}")); } catch { return inMemory; }
}
function keep(changed) {
  inMemory = changed;
  store.write(RATINGS, JSON.stringify(changed));
}
/* A cell that a spreadsheet would take for a formula starts with an apostrophe, as in all our tables. */
const cellText = (text) => (oneLine(text || "") || "n/a").replace(/^(?=[=+@|]|-(?![\d.]))/, "'");
function table(columns, rows) {
  return [columns, ...rows].map((row) => row.map(cellText).join("\t")).join("\n") + "\n";
}
function excludeList(of) {
  const rows = Object.entries(of).filter(([, rated]) => rated.rating === "exclude");
  return table([...COLUMNS, "reason"], rows.map(([key, rated]) => [...key.split(JOIN), oneLine(rated.reason) || "rated exclude after looking at the pictures"]));
}
function ratingTable(of) {
  return table([...COLUMNS, "rating", "reason"], Object.entries(of).map(([key, rated]) => [...key.split(JOIN), rated.rating, rated.reason]));
}
function readRatings(text) {
  const [head, ...lines] = text.replace(/\r/g, "").split("\n").filter((line) => line).map((line) => line.split("\t"));
  if (!head || !COLUMNS.every((name) => head.includes(name))) return null;
  const found = {};
  lines.forEach((cells) => {
    const row = Object.fromEntries(head.map((name, k) => [name, oneLine(cells[k] || "")]));
    const rating = head.includes("rating") ? row.rating : "exclude";
    if (CHOICES.includes(rating)) found[COLUMNS.map((name) => row[name] || "n/a").join(JOIN)] = { rating, reason: row.reason === "n/a" ? "" : row.reason || "" };
  });
  return found;
}
function rateImages(rows, tools) {
  const said = made("span", "", { class: "soft", role: "status" }), who = rows[0].dataset.participant;
  const keyOf = ({ dataset: d }) => [d.participant, d.session, d.modality, d.run].join(JOIN);
  const own = () => Object.fromEntries(rows.map(keyOf).filter((key) => ratings()[key]).map((key) => [key, ratings()[key]]));
  const tell = () => {
    const of = Object.values(own()), n = of.filter((rated) => rated.rating === "exclude").length;
    said.textContent = `${of.length} of ${rows.length} images rated, ${n} to exclude.${store.works ? "" : " This browser keeps nothing: save before you close the page."}`;
  };
  rows.forEach((row) => {
    const choice = row.querySelector("select"), reason = row.querySelector("input"), key = keyOf(row);
    const rated = ratings()[key];
    if (rated) [choice.value, reason.value, row.dataset.rating] = [rated.rating, rated.reason, rated.rating];
    const changed = () => {
      const now = ratings();
      if (choice.value) now[key] = { rating: choice.value, reason: oneLine(reason.value) };
      else delete now[key];
      row.dataset.rating = choice.value;
      keep(now);
      tell();
    };
    choice.addEventListener("change", changed);
    reason.addEventListener("input", changed);
  });
  tools.append(
    button("Save the exclude list", () => save(`${who}_exclude.tsv`, excludeList(own()))),
    button("Save all ratings", () => save(`${who}_ratings.tsv`, ratingTable(own()))), said);
  tools.hidden = false;
  tell();
}
function collectRatings(index, tools) {
  const said = made("span", "", { class: "soft", role: "status" });
  const show = () => {
    const now = ratings(), people = {};
    Object.entries(now).forEach(([key, { rating }]) => {
      const who = key.split(JOIN)[0];
      people[who] = people[who] || {};
      people[who][rating] = (people[who][rating] || 0) + 1;
    });
    [...index.tBodies[0].rows].forEach((row) => {
      const of = people[row.cells[0].textContent.trim()] || {};
      row.dataset.rating = ["exclude", "unsure", "good"].find((name) => of[name]) || "";
      row.cells[row.cells.length - 1].textContent = CHOICES.filter((name) => of[name]).map((name) => `${of[name]} ${name}`).join(", ") || "not rated";
    });
    const of = Object.values(now), n = of.filter((rated) => rated.rating === "exclude").length;
    said.textContent = `${of.length} images of ${Object.keys(people).length} people rated, ${n} to exclude.`;
  };
  const read = made("label", "Read saved ratings", { class: "plain" }), files = made("input", "", { type: "file", multiple: "", accept: ".tsv" });
  files.addEventListener("change", async () => {
    const tables = await Promise.all([...files.files].map(async (file) => [file.name, readRatings(await file.text())]));
    keep(tables.reduce((sum, [, found]) => Object.assign(sum, found || {}), ratings()));
    show();
    const bad = tables.filter(([, found]) => found === null).map(([name]) => name);
    if (bad.length) said.textContent += ` Not a list of ratings: ${bad.join(", ")}.`;
    files.value = "";
  });
  read.append(files);
  tools.append(
    button("Save the exclude list", () => save("exclude.tsv", excludeList(ratings()))),
    button("Save all ratings", () => save("ratings.tsv", ratingTable(ratings()))), read, said);
  tools.hidden = false;
  addEventListener("storage", show);
  addEventListener("focus", show);
  show();
}
const rated = all("#ratings tbody tr"), index = document.querySelector('table[data-key="index"]');
if (rated.length) rateImages(rated, document.getElementById("save"));
if (index) collectRatings(index, document.getElementById("collect"));

/* Text to copy */
all("[data-copy]").forEach((copy) => {
  const source = document.getElementById(copy.dataset.copy), said = copy.nextElementSibling;
  copy.hidden = false;
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(source.innerText);
      said.textContent = "Copied.";
    } catch {
      getSelection().selectAllChildren(source);
      said.textContent = "The text is selected: copy it with Ctrl+C.";
    }
  });
});

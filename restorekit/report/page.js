"use strict";
// The slider. The pictures are read from the gallery that readers without scripts see; the view lives in the address:
// #image=1&left=input&right=model&split=30&zoom=2&x=0.5&y=0.5   (image counts from 1; x and y are the centre, 0 to 1)
// and &difference=1 where the difference of the two is shown. The strip shows every picture at the same place.
(() => {
  const byId = (id) => document.getElementById(id);
  const images = [...document.querySelectorAll("#gallery article")].map((article) => ({
    name: article.dataset.name,
    pictures: new Map(
      [...article.querySelectorAll("figure")].map((figure) => [
        figure.dataset.label,
        { image: figure.querySelector("img"), scores: figure.dataset.scores },
      ]),
    ),
  }));

  sortable(byId("scores"));
  if (images.length === 0) return;

  const stage = byId("stage");
  const view = { image: 0, left: "", right: "", split: 50, zoom: "fit", x: 0.5, y: 0.5, difference: false };
  const zooms = ["fit", "1", "2", "4"];

  function clamp(value, low, high) {
    return Math.min(Math.max(value, low), high);
  }

  function number(text, low, high, fallback) {
    const value = text === null || text.trim() === "" ? NaN : Number(text);
    return Number.isFinite(value) ? clamp(value, low, high) : fallback;
  }

  // ---- the view and the address -------------------------------------------------------------------------------
  function readAddress() {
    const wanted = new URLSearchParams(location.hash.slice(1));
    view.image = Math.round(number(wanted.get("image"), 1, images.length, view.image + 1)) - 1;
    view.split = number(wanted.get("split"), 0, 100, view.split);
    view.zoom = zooms.includes(wanted.get("zoom")) ? wanted.get("zoom") : view.zoom;
    view.x = number(wanted.get("x"), 0, 1, view.x);
    view.y = number(wanted.get("y"), 0, 1, view.y);
    view.difference = wanted.has("difference") ? wanted.get("difference") === "1" : view.difference;
    keepLabels(wanted.get("left"), wanted.get("right"));
  }

  // Not every image has every picture: fall back to the input on the left, and the best model on the right.
  function keepLabels(left, right) {
    const labels = [...images[view.image].pictures.keys()];
    const pick = (choices, fallback) => choices.find((label) => labels.includes(label)) ?? fallback;
    view.left = pick([left, view.left], labels[0]);
    view.right = pick([right, view.right, byId("viewer").dataset.best], labels[labels.length - 1]);
  }

  let pending = 0;
  function writeAddress() {
    clearTimeout(pending);
    pending = setTimeout(() => {
      const entries = { ...view, image: view.image + 1, split: round(view.split), x: round(view.x), y: round(view.y) };
      if (view.difference) entries.difference = 1;
      else delete entries.difference;
      if (view.zoom === "fit") {
        delete entries.x;
        delete entries.y;
      }
      try {
        history.replaceState(null, "", "#" + new URLSearchParams(entries));
      } catch {
        // some readers forbid it for local files; the page works without
      }
    }, 200);
  }

  function round(value) {
    return Math.round(value * 1000) / 1000;
  }

  // ---- drawing ------------------------------------------------------------------------------------------------
  function layout() {
    const picture = images[view.image].pictures.get(view.left).image;
    const [width, height] = [Number(picture.getAttribute("width")), Number(picture.getAttribute("height"))];
    const available = stage.clientWidth;
    const tallest = Math.max(240, innerHeight * 0.65);
    stage.style.height = `${Math.round(clamp((available * height) / width, 160, tallest))}px`;
    const room = { width: stage.clientWidth, height: stage.clientHeight };
    const fit = Math.min(room.width / width, room.height / height);
    const scale = view.zoom === "fit" ? fit : Number(view.zoom);
    const place = (centre, size, space) =>
      size * scale <= space ? (space - size * scale) / 2 : clamp(space / 2 - centre * size * scale, space - size * scale, 0);
    return { width, height, scale, room, left: place(view.x, width, room.width), top: place(view.y, height, room.height) };
  }

  function pannable(at) {
    return at.width * at.scale > at.room.width + 1 || at.height * at.scale > at.room.height + 1;
  }

  // The part of the stage, in px from its left edge, that the picture covers.
  function span(at) {
    const start = Math.max(0, at.left);
    return { start, width: Math.min(at.room.width, at.left + at.width * at.scale) - start };
  }

  function draw() {
    const at = layout();
    for (const side of ["left", "right"]) {
      const { image, scores } = images[view.image].pictures.get(view[side]);
      const shown = byId(`${side}-picture`);
      if (shown.src !== image.src) shown.src = image.src;
      shown.alt = `${images[view.image].name}: ${view[side]}`;
      shown.style.width = `${at.width * at.scale}px`;
      shown.style.height = `${at.height * at.scale}px`;
      shown.style.transform = `translate(${at.left}px, ${at.top}px)`;
      byId(`${side}-scores`).replaceChildren(bold(view[side]), scores ? ` ${scores}` : "");
    }
    const { start, width } = span(at);
    const x = view.difference ? at.room.width : start + (view.split / 100) * width;
    byId("left-layer").style.clipPath = `inset(0 ${at.room.width - x}px 0 0)`;
    stage.classList.toggle("difference", view.difference);
    byId("difference").checked = view.difference;
    drawStrip(at);
    byId("divider").style.left = `${x}px`;
    stage.classList.toggle("pannable", pannable(at));
    stage.classList.toggle("pixels", at.scale >= 2 && view.zoom !== "fit");
    const slider = byId("split");
    slider.value = view.split;
    slider.setAttribute("aria-valuetext", `${Math.round(view.split)} % ${view.left}, the rest ${view.right}`);
    byId("image").value = view.image;
    fill(byId("left"), [...images[view.image].pictures.keys()], view.left);
    fill(byId("right"), [...images[view.image].pictures.keys()], view.right);
    for (const radio of document.getElementsByName("zoom")) radio.checked = radio.value === view.zoom;
    Object.assign(stage.dataset, { ...view, image: view.image + 1, split: round(view.split) });
  }

  // Every picture of the image in a small window that shows what the stage shows.
  const STRIP_PX = 168;
  function drawStrip(at) {
    const strip = byId("strip");
    const pictures = images[view.image].pictures;
    if (strip.dataset.image !== String(view.image)) {
      strip.dataset.image = view.image;
      strip.replaceChildren(...[...pictures].map(([label, picture], index) => stripButton(label, picture, index)));
    }
    const share = STRIP_PX / at.room.width;
    strip.classList.toggle("pixels", at.scale * share >= 2);
    for (const button of strip.children) {
      button.setAttribute("aria-pressed", button.dataset.label === view.right);
      const shown = button.querySelector("img");
      shown.parentElement.style.height = `${Math.round(at.room.height * share)}px`;
      shown.style.width = `${at.width * at.scale * share}px`;
      shown.style.height = `${at.height * at.scale * share}px`;
      shown.style.transform = `translate(${at.left * share}px, ${at.top * share}px)`;
    }
  }

  function stripButton(label, picture, index) {
    const button = document.createElement("button");
    const frame = document.createElement("div");
    const shown = document.createElement("img");
    const caption = document.createElement("span");
    button.type = "button";
    button.dataset.label = label;
    button.style.width = `${STRIP_PX}px`;
    button.title = [label, picture.scores].filter(Boolean).join(": ");
    frame.className = "window";
    shown.src = picture.image.src;
    shown.alt = "";
    caption.textContent = index < 9 ? `${index + 1} ${label}` : label;
    frame.append(shown);
    button.append(frame, caption);
    button.addEventListener("click", () => change({ right: label }));
    return button;
  }

  function bold(text) {
    const element = document.createElement("b");
    element.textContent = text;
    return element;
  }

  function fill(select, labels, chosen) {
    if ([...select.options].map((option) => option.value).join("\n") !== labels.join("\n")) {
      select.replaceChildren(...labels.map((label) => new Option(label, label)));
    }
    select.value = chosen;
  }

  function change(entries) {
    Object.assign(view, entries);
    keepLabels(view.left, view.right);
    draw();
    writeAddress();
  }

  // ---- mouse, touch, keyboard ---------------------------------------------------------------------------------
  let drag = null;
  stage.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    const at = layout();
    const panning = pannable(at) && !byId("divider").contains(event.target);
    drag = { panning, x: event.clientX, y: event.clientY };
    stage.setPointerCapture(event.pointerId);
    if (!panning) moveDivider(event);
  });
  stage.addEventListener("pointermove", (event) => {
    if (drag === null) return;
    if (drag.panning) {
      pan(event.clientX - drag.x, event.clientY - drag.y);
      Object.assign(drag, { x: event.clientX, y: event.clientY });
    } else {
      moveDivider(event);
    }
  });
  for (const name of ["pointerup", "pointercancel"]) stage.addEventListener(name, () => (drag = null));

  function moveDivider(event) {
    const { start, width } = span(layout());
    const x = event.clientX - stage.getBoundingClientRect().left;
    change({ split: clamp(((x - start) / width) * 100, 0, 100) });
  }

  // Move the pictures by so many px; the centre stays where the edges of the stage allow.
  function pan(right, down) {
    const at = layout();
    const centre = (offset, size, space, moved) => {
      const half = Math.min(0.5, space / (2 * size * at.scale));
      return clamp((space / 2 - offset - moved) / (size * at.scale), half, 1 - half);
    };
    change({
      x: centre(at.left, at.width, at.room.width, right),
      y: centre(at.top, at.height, at.room.height, down),
    });
  }

  const steps = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
  stage.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in steps && !pannable(layout())) return;
    const labels = [...images[view.image].pictures.keys()];
    const zoomed = (step) => zooms[clamp(zooms.indexOf(view.zoom) + step, 0, zooms.length - 1)];
    if (event.key in steps) pan(...steps[event.key]);
    else if (event.key === "+" || event.key === "=") change({ zoom: zoomed(1) });
    else if (event.key === "-") change({ zoom: zoomed(-1) });
    else if (event.key === "0") change({ zoom: "fit" });
    else if (event.key === "d") change({ difference: !view.difference });
    else if (event.key === "n" || event.key === "p") step(event.key === "n" ? 1 : -1);
    else if (labels[Number(event.key) - 1]) change({ right: labels[Number(event.key) - 1] });
    else return;
    event.preventDefault();
  });
  stage.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return; // a plain wheel scrolls the page
    event.preventDefault();
    change({ zoom: zooms[clamp(zooms.indexOf(view.zoom) + (event.deltaY < 0 ? 1 : -1), 0, zooms.length - 1)] });
  }, { passive: false });

  function step(by) {
    change({ image: (view.image + by + images.length) % images.length });
  }

  byId("split").addEventListener("input", (event) => change({ split: Number(event.target.value) }));
  byId("image").addEventListener("change", (event) => change({ image: Number(event.target.value) }));
  byId("left").addEventListener("change", (event) => change({ left: event.target.value }));
  byId("right").addEventListener("change", (event) => change({ right: event.target.value }));
  byId("swap").addEventListener("click", () => change({ left: view.right, right: view.left }));
  byId("zoom").addEventListener("change", (event) => change({ zoom: event.target.value }));
  byId("difference").addEventListener("change", (event) => change({ difference: event.target.checked }));
  for (const [id, by] of [["previous", -1], ["next", 1]]) {
    byId(id).addEventListener("click", () => step(by));
    byId(id).disabled = images.length === 1;
  }
  addEventListener("resize", draw);
  addEventListener("hashchange", () => {
    readAddress();
    draw();
    byId("viewer").scrollIntoView({ block: "nearest" });
  });

  document.documentElement.classList.add("scripted");
  byId("viewer").hidden = false;
  byId("image").replaceChildren(...images.map((image, index) => new Option(image.name, index)));
  readAddress();
  draw();

  // ---- the table of scores ------------------------------------------------------------------------------------
  // A click sorts by that column, a second one reverses; what has no value stays last.
  function sortable(table) {
    table.querySelectorAll("thead th").forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const descending = head.getAttribute("aria-sort") === "ascending";
        table.querySelectorAll("thead th").forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", descending ? "descending" : "ascending");
        const rows = [...table.tBodies[0].rows].map((row) => ({ row, key: sortKey(row.cells[column]) }));
        rows.sort((one, other) => compare(one.key, other.key, descending ? -1 : 1));
        table.tBodies[0].append(...rows.map(({ row }) => row));
      });
    });
  }

  function sortKey(cell) {
    if (cell.dataset.value === undefined) return cell.textContent;
    return cell.dataset.value === "" ? null : Number(cell.dataset.value);
  }

  function compare(one, other, sign) {
    if (one === null || other === null) return (one === null) - (other === null);
    if (typeof one === "string") return sign * one.localeCompare(other, undefined, { numeric: true });
    return one === other ? 0 : sign * (one < other ? -1 : 1);
  }
})();

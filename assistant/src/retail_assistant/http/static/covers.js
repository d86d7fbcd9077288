// Covers drawn from the title: a palette and a motif by genre, arranged by the series' name. No pictures are loaded.

import { draw, make } from "./dom.js";

const PALETTES = {
  action: [
    ["#b3261e", "#f4c095", "#2b1512"],
    ["#d9480f", "#ffe3b3", "#33180a"],
  ],
  cooking: [
    ["#e9b44c", "#9b2915", "#fff4d9"],
    ["#5b8e55", "#f6e7c1", "#1f3a26"],
  ],
  historical: [
    ["#7a5230", "#e8d5b0", "#2e1c10"],
    ["#40514e", "#e4cfa0", "#182220"],
  ],
  horror: [
    ["#1d1a26", "#8d2f3f", "#d8d0c4"],
    ["#15252b", "#6fb1a0", "#e6e0d0"],
  ],
  mystery: [
    ["#243b55", "#e0b354", "#0e1a28"],
    ["#3d3154", "#d8a48f", "#18112a"],
  ],
  romance: [
    ["#d8738a", "#fde3df", "#6b1f38"],
    ["#b8578e", "#ffd9c9", "#4d153c"],
  ],
  "science fiction": [
    ["#1b2a5c", "#6ee7d2", "#0a1030"],
    ["#4a2c7a", "#ffb86b", "#1b0d38"],
  ],
  sports: [
    ["#0f7b5f", "#f8e16c", "#06392c"],
    ["#1e6fb8", "#fdf0c4", "#0a2f52"],
  ],
  thriller: [
    ["#20262d", "#f25f3a", "#e9e4dc"],
    ["#5a1322", "#f0c36d", "#1f060c"],
  ],
  fantasy: [
    ["#2f5d50", "#f0d58c", "#12271f"],
    ["#4b3a73", "#e6c9f2", "#1b1333"],
  ],
  comedy: [
    ["#f2a541", "#d7263d", "#fff3d6"],
    ["#3fa7d6", "#fac05e", "#0d3044"],
  ],
  "slice of life": [
    ["#8fb8a8", "#fbe9d0", "#2d4a41"],
    ["#e3a587", "#fdf3e1", "#5c3524"],
  ],
};
const ANY = [
  ["#39506b", "#e9d8a6", "#111c2a"],
  ["#6b4a39", "#e6e0c8", "#22140c"],
  ["#3b6b58", "#f3dfb8", "#10271e"],
];

const LIGHT = 0.6;
const DARK = 0.3;

/** A number from a text, the same each time. */
function hash(text) {
  let found = 2166136261;
  for (const character of text) found = Math.imul(found ^ character.codePointAt(0), 16777619);
  return found >>> 0;
}

/** Numbers from 0 to 1 that follow from a seed. */
function numbers(seed) {
  let held = seed || 1;
  return () => {
    held = (Math.imul(held, 1664525) + 1013904223) >>> 0;
    return held / 4294967296;
  };
}

/** How bright a colour such as "#39506b" is, from 0 to 1. */
function brightness(colour) {
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16) / 255);
  return 0.3 * red + 0.59 * green + 0.11 * blue;
}

/** The colours of a cover; where the darkest of them is dark, it is the ground of every other cover. */
function paletteOf(genre, seed) {
  const palettes = PALETTES[genre] ?? ANY;
  const [ground, light, dark] = palettes[seed % palettes.length];
  return (seed >>> 7) % 2 && brightness(dark) < DARK ? [dark, light, ground] : [ground, light, dark];
}

const round = (number) => Math.round(number * 10) / 10;

function rings(next, [, light]) {
  const x = round(40 + 120 * next()),
    y = round(150 + 60 * next());
  return [0, 1, 2, 3, 4, 5].map((i) =>
    draw("circle", {
      cx: x,
      cy: y,
      r: 16 + i * 24,
      fill: i ? "none" : light,
      stroke: light,
      "stroke-width": 5,
      opacity: round(1 - i * 0.15),
    }),
  );
}

function stripes(next, [, light]) {
  const lean = next() > 0.5 ? 90 : -90;
  return Array.from({ length: 7 }, (_, i) => {
    const x = -80 + i * 52,
      wide = round(6 + 22 * next());
    return draw("polygon", {
      points: `${x},300 ${x + wide},300 ${x + wide + lean},90 ${x + lean},90`,
      fill: light,
      opacity: round(0.35 + 0.6 * next()),
    });
  });
}

function hills(next, [, light, dark]) {
  const sun = draw("circle", { cx: round(50 + 100 * next()), cy: 150, r: round(22 + 18 * next()), fill: light });
  const ridges = [0, 1, 2].map((i) => {
    const y = 190 + i * 34,
      up = round(30 + 40 * next()),
      down = round(10 + 30 * next());
    return draw("path", {
      d: `M0 ${y} Q50 ${y - up} 100 ${y} T200 ${y - down} V300 H0Z`,
      fill: dark,
      opacity: 0.35 + i * 0.3,
    });
  });
  return [sun, ...ridges];
}

function waves(next, [, light]) {
  const high = round(8 + 14 * next());
  return Array.from({ length: 7 }, (_, i) => {
    const y = 130 + i * 26;
    return draw("path", {
      d: `M-10 ${y} q27 ${-high} 55 0 t55 0 t55 0 t55 0`,
      fill: "none",
      stroke: light,
      "stroke-width": 4 + i,
      opacity: round(0.3 + i * 0.1),
    });
  });
}

function stars(next, [, light]) {
  const points = Array.from({ length: 9 }, () => [round(16 + 168 * next()), round(110 + 165 * next())]);
  const line = draw("polyline", {
    points: points.map((p) => p.join(",")).join(" "),
    fill: "none",
    stroke: light,
    "stroke-width": 1.2,
    opacity: 0.6,
  });
  return [line, ...points.map(([x, y]) => draw("circle", { cx: x, cy: y, r: round(2.5 + 6 * next()), fill: light }))];
}

function arches(next, [, light, dark]) {
  const n = 3 + Math.floor(next() * 2),
    wide = 200 / n;
  return Array.from({ length: n }, (_, i) => {
    const x = i * wide + 7,
      w = wide - 14,
      top = round(130 + 70 * next());
    return draw("path", {
      d: `M${x} 300 V${top + w / 2} a${w / 2} ${w / 2} 0 0 1 ${w} 0 V300Z`,
      fill: i % 2 ? dark : light,
      opacity: 0.9,
    });
  });
}

function tiles(next, [, light, dark]) {
  const found = [];
  for (let y = 0; y < 4; y += 1) {
    for (let x = 0; x < 4; x += 1) {
      const at = `translate(${x * 50} ${100 + y * 50}) rotate(${90 * Math.floor(4 * next())} 25 25)`;
      found.push(
        draw("path", {
          d: "M0 0 A50 50 0 0 1 50 50 H0Z",
          transform: at,
          fill: next() > 0.35 ? light : dark,
          opacity: 0.88,
        }),
      );
    }
  }
  return found;
}

const MOTIFS = {
  action: [stripes, rings],
  cooking: [tiles, rings],
  historical: [arches, hills],
  horror: [hills, arches],
  mystery: [rings, stars],
  romance: [waves, hills],
  "science fiction": [stars, rings],
  sports: [stripes, waves],
  thriller: [stripes, tiles],
  fantasy: [hills, stars],
  comedy: [tiles, waves],
  "slice of life": [hills, arches],
};

/** The cover of a product: decorative, because title and author stand beside it. */
export function cover(product) {
  const seed = hash(product.series || product.title),
    next = numbers(seed);
  const isBound = Boolean(product.format); // what has an edition has a cover; the rest has a label, in the colour of its kind
  const palette = paletteOf(product.genre, isBound ? seed : hash(product.genre));
  const motifs = MOTIFS[product.genre] ?? [tiles, hills, waves],
    motif = motifs[(seed >>> 3) % motifs.length];
  const art = draw(
    "svg",
    { viewBox: "0 0 200 300", preserveAspectRatio: "xMidYMid slice", focusable: "false" },
    draw("rect", { width: 200, height: 300, fill: palette[0] }),
    motif(next, palette),
    draw("rect", { width: 200, height: 104, fill: palette[0] }),
  );
  const isLight = brightness(palette[0]) > LIGHT;
  return make(
    "div",
    { class: `cover${isBound ? "" : " is-label"}${isLight ? " is-light" : ""}`, "aria-hidden": "true" },
    art,
    make("span", { class: "cover-title" }, product.series || product.title),
    make("span", { class: "cover-author" }, product.author),
    product.volume > 1 || /\bVol\. 1$/.test(product.title)
      ? make("span", { class: "cover-volume" }, String(product.volume))
      : null,
  );
}

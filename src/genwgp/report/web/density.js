// The picture of the path: curves on a line, a heat map in the plane; the particles over it.
const DRAWN = 400; // particles that are drawn: more of them hide the density
const TRACKED = 50; // particles that leave a track
const TRACK = 8; // places that a track is long
let shown = null; // densities at all places, the target, and what they are drawn on

function prepareDensities() {
  const chosen = data.dim === 1 ? [0] : state.pair;
  const known = data.densities !== null;
  const all = known ? unpack(data.densities) : places.arclength.map((_, place) => histogram(place, chosen));
  const target = known ? unpack({ ...data.target, shape: [1, ...data.target.shape] })[0] : all[end];
  const size = chosen.length === 1 ? all[0].length : Math.round(Math.sqrt(all[0].length));
  const peaks = all.map((values) => values.reduce((most, value) => Math.max(most, value), 0));
  const most = Math.max(...peaks);
  const top = data.dim === 1 ? most : Math.min(most, data.cap * Math.min(...peaks)) || 1;
  // Known densities are at points from edge to edge, histograms are of cells.
  const ticks = chosen.map((which) => {
    const [low, high] = data.box[which];
    return Float64Array.from({ length: size }, (_, i) =>
      low + (high - low) * (known ? i / (size - 1) : (i + 0.5) / size));
  });
  shown = { chosen, all, target, size, top, ticks, known };
}

const rows = (values) => Array.from({ length: shown.size }, (_, i) => values.subarray(i * shown.size, (i + 1) * shown.size));
const named = (which) => `x<sub>${data.coordinates[which]}</sub>`;

function tracks() {
  const [a, b] = shown.chosen;
  const x = [], y = [];
  for (let k = 0; k < Math.min(TRACKED, particleCount); k++) {
    for (let place = Math.max(0, state.place - TRACK); place <= state.place; place++) {
      x.push(particles[place][k * coordinateCount + a]);
      y.push(particles[place][k * coordinateCount + b]);
    }
    x.push(null);
    y.push(null);
  }
  return { x, y };
}

function dots() {
  const [x, y] = shown.chosen.map((which) => coordinate(state.place, which).subarray(0, DRAWN));
  return { x, y };
}

function planeTraces() {
  const [a, b] = shown.chosen;
  const scale = { x: shown.ticks[0], y: shown.ticks[1] };
  const hover = `${named(a)} %{x:.3g}<br>${named(b)} %{y:.3g}`;
  const contours = { coloring: "none", start: 0.1, end: 0.9, size: 0.2 };
  const most = shown.target.reduce((m, value) => Math.max(m, value), 0) || 1;
  return [
    { type: "heatmap", ...scale, z: rows(shown.all[state.place]), zmin: 0, zmax: shown.top, zsmooth: "fast",
      colorscale: data.shades[dark() ? "dark" : "light"], hovertemplate: `${hover}<br>density %{z:.3g}<extra></extra>`,
      colorbar: { thickness: 12, len: 1, outlinewidth: 0, title: { text: innerWidth > 520 ? "density" : "", side: "right" }, nticks: 5 } },
    { type: "contour", ...scale, z: rows(shown.target.map((value) => value / most)), contours, ncontours: 5,
      autocontour: false, showscale: false, line: { color: colour("target"), width: 1.3 }, hoverinfo: "skip" },
    { type: "scatter", mode: "lines", ...tracks(), line: { color: colour("particle"), width: 1 }, opacity: 0.7,
      hoverinfo: "skip", visible: state.particles },
    { type: "scatter", mode: "markers", ...dots(),
      marker: { size: 5, color: colour("particle"), line: { color: colour("edge"), width: 0.7 } },
      hovertemplate: `particle<br>${hover}<extra></extra>`, visible: state.particles },
  ];
}

function planeLayout(width) {
  const [a, b] = shown.chosen;
  const [[left, right], [low, high]] = [data.box[a], data.box[b]];
  const tall = (high - low) / (right - left);
  const square = tall > 0.5 && tall < 1.5; // the scales of both axes can be equal
  const ratio = Math.min(1.15, Math.max(0.6, tall));
  const y = { title: { text: named(b), standoff: 4 }, range: [low, high], showgrid: false };
  if (square) Object.assign(y, { scaleanchor: "x", constrain: "domain" });
  return layoutLook({
    height: Math.min(640, 0.82 * width * ratio + 60),
    plot_bgcolor: data.shades[dark() ? "dark" : "light"][0][1],
    xaxis: axisLook({ title: { text: named(a), standoff: 4 }, range: [left, right], showgrid: false, constrain: "domain" }),
    yaxis: axisLook(y),
  });
}

// Fixed heights for particles on a line, so that each stays where it is seen.
const heights = Float64Array.from({ length: particleCount }, (_, k) => (k * 0.6180339887) % 1);

function lineTraces() {
  const x = shown.ticks[0];
  const text = "%{x:.3g}<br>density %{y:.4g}";
  const curve = (y, name, line, more) => ({ type: "scatter", mode: "lines", x, y, name, line,
    hovertemplate: `${name}<br>${text}<extra></extra>`, ...more });
  return [
    curve(shown.all[state.place], "density", { color: colour("curve"), width: 2.4 }, { fill: "tozeroy", fillcolor: `${colour("curve")}44` }),
    curve(shown.target, data.target_name, dashed("faint")),
    curve(shown.all[0], "start", { ...dashed("faint"), dash: "dot" }),
    { type: "scatter", mode: "markers", x: coordinate(state.place, 0), y: heights, yaxis: "y2", name: "particles",
      marker: { size: 5, color: colour("particle"), opacity: 0.75 }, hovertemplate: "particle %{x:.3g}<extra></extra>",
      visible: state.particles },
  ];
}

function lineLayout(width) {
  return layoutLook({
    height: Math.min(460, 0.6 * width + 90),
    showlegend: true,
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
    margin: { l: 46, r: 12, t: 34, b: 38 },
    xaxis: axisLook({ title: { text: "x", standoff: 4 }, range: data.box[0], anchor: "y2" }),
    yaxis: axisLook({ domain: [0.2, 1], range: [0, 1.05 * shown.top], title: { text: "density" } }),
    yaxis2: axisLook({ domain: [0, 0.16], range: [-0.15, 1.15], showticklabels: false, ticks: "", showgrid: false }),
  });
}

function drawDensity() {
  if (shown === null) prepareDensities();
  const plot = byId("density");
  const [traces, layout] = data.dim === 1 ? [lineTraces, lineLayout] : [planeTraces, planeLayout];
  return Plotly.react(plot, traces(), layout(plot.clientWidth), CONFIG);
}

// Only what moves: the density, the tracks and the particles.
function moveDensity() {
  const plot = byId("density");
  if (data.dim === 1) {
    Object.assign(plot.data[0], { y: shown.all[state.place] });
    Object.assign(plot.data[3], { x: coordinate(state.place, 0) });
  } else {
    Object.assign(plot.data[0], { z: rows(shown.all[state.place]) });
    Object.assign(plot.data[2], tracks());
    Object.assign(plot.data[3], { ...dots() });
  }
  return Plotly.redraw(plot);
}

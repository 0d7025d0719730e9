// Curves along the path, each with a cursor at the place that is shown, and the comparison with a reference.
const DISTANCES = {
  wasserstein: [data.dim === 1 ? "W₂" : "exact W₂", "curve"],
  sliced: ["sliced W₂", "green"],
  mean_error: ["mean", "warm"],
  covariance_error: ["covariance", "purple"],
};
const LOGARITHMIC = 6; // a ratio above which its axis is logarithmic

// A box for each curve, with its heading.
function makePanels() {
  for (const { name, title, unit } of data.panels) {
    const box = document.createElement("div");
    const heading = document.createElement("h3");
    const small = document.createElement("span");
    const plot = document.createElement("div");
    heading.textContent = `${title} `;
    small.textContent = unit;
    heading.append(small);
    Object.assign(plot, { id: `curve-${name}`, className: "plot" });
    plot.setAttribute("role", "img");
    plot.setAttribute("aria-label", `${title} along the path; the numbers are in the table of the nodes`);
    box.append(heading, plot);
    byId("curves").append(box);
  }
}

function panelTraces(name) {
  const curves = data.curves;
  const hollow = name === "direction_residual" ? data.judged : null;
  const node = curves.times.map((time, k) => `node ${k}, s = ${short(curves.arclength[k])}, ${timeText(time)}`);
  const symbol = hollow === null ? "circle" : hollow.map((judged) => (judged ? "circle" : "circle-open"));
  const traces = [{ type: "scatter", mode: "lines+markers", x: curves[state.axis], y: curves[name], text: node,
    line: { color: colour("curve"), width: 1.8 }, marker: { size: 6, symbol }, name: "path",
    hovertemplate: "%{y:.5g}<br>%{text}<extra></extra>" }];
  if (name === "free_energy" && data.comparison !== null)
    traces.push({ type: "scatter", mode: "markers", x: data.comparison[state.axis], y: data.comparison.free_energy,
      marker: { size: 10, symbol: "circle-open", color: colour("warm"), line: { width: 1.8 } }, name: "reference",
      hovertemplate: "reference %{y:.5g}<extra></extra>" });
  return traces;
}

// Dashed lines that the curves are read against.
const level = (name) => ({ free_energy: [data.equilibrium], direction_residual: [data.direction] })[name] ?? [];
const levelLine = (y) => ({ type: "line", xref: "paper", x0: 0, x1: 1, y0: y, y1: y, line: dashed("faint"), layer: "below" });
const levels = (name) => level(name).filter((y) => y !== null).map(levelLine);

function drawPanel({ name, log }) {
  const y = log ? { type: "log", tickformat: "~g", dtick: decades([...data.curves[name], ...level(name)]) } : { nticks: 6 };
  const layout = layoutLook({ height: byId(`curve-${name}`).clientHeight, xaxis: alongAxis(), yaxis: axisLook(y), shapes: [...levels(name), cursor()] });
  return Plotly.react(byId(`curve-${name}`), panelTraces(name), layout, CONFIG);
}

// Ticks at whole decades where there are several, else at 2 and 5 too.
function decades(values) {
  const positive = values.filter((value) => value !== null && value > 0);
  const count = Math.log10(Math.max(...positive) / Math.min(...positive));
  return count > 2 ? Math.ceil(count / 4) : "D2";
}

function drawRatios() {
  const compared = data.comparison;
  if (compared === null) return null;
  const every = Object.values(compared.ratios).flat().filter((value) => value !== null);
  const text = compared.arclength.map((s, k) => `s = ${short(s)}, ${timeText(compared.times[k])}`);
  const traces = Object.entries(compared.ratios).map(([name, y]) => ({
    type: "scatter", mode: "lines+markers", x: compared[state.axis], y, name: DISTANCES[name][0],
    line: { color: colour(DISTANCES[name][1]), width: 1.6 }, text,
    hovertemplate: `${DISTANCES[name][0]}: %{y:.3g} times its floor<br>%{text}<extra></extra>`,
  }));
  const y = Math.max(...every) > LOGARITHMIC ? { type: "log", dtick: "D2" } : { rangemode: "tozero" };
  const layout = layoutLook({
    height: 300, hovermode: "closest", showlegend: true, legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
    margin: { l: 46, r: 12, t: 34, b: 38 }, shapes: [levelLine(1), cursor()],
    xaxis: alongAxis(), yaxis: axisLook({ ...y, title: { text: "distance / its floor" } }),
  });
  return Plotly.react(byId("ratios"), traces, layout, CONFIG);
}

const curvePlots = () =>
  [...data.panels.map(({ name }) => byId(`curve-${name}`)), byId("ratios")].filter((plot) => plot !== null);

const drawCurves = () => Promise.all([...data.panels.map(drawPanel), drawRatios()]);

// The cursor is the last shape of each.
function moveCursors() {
  const { x0, x1 } = cursor();
  return Promise.all(curvePlots().map((plot) => {
    const last = `shapes[${plot.layout.shapes.length - 1}]`;
    return Plotly.relayout(plot, { [`${last}.x0`]: x0, [`${last}.x1`]: x1 });
  }));
}

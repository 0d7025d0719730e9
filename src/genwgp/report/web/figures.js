// What all figures share: colours of the page, fonts, margins.
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const dark = () => document.documentElement.dataset.theme === "dark";
const CONFIG = { displayModeBar: false, responsive: true, scrollZoom: false, doubleClick: "reset" };

function axisLook(more) {
  const look = { gridcolor: colour("grid"), linecolor: colour("line"), zeroline: false, automargin: true };
  return { ...look, fixedrange: true, ticks: "outside", tickcolor: colour("line"), ...more };
}

function layoutLook(more) {
  return {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: colour("plot"),
    font: { color: colour("ink"), size: 12, family: "system-ui, sans-serif" },
    margin: { l: 46, r: 12, t: 8, b: 38 },
    hoverlabel: { bgcolor: colour("card"), bordercolor: colour("line"), font: { color: colour("ink") } },
    showlegend: false,
    ...more,
  };
}

const dashed = (name) => ({ color: colour(name), width: 1.2, dash: "dash" });

// The axis of the curves: arclength, or time, linear up to the first step and logarithmic beyond.
function alongAxis() {
  if (state.axis === "arclength") return axisLook({ title: { text: "arclength s", standoff: 6 } });
  const ticks = { tickvals: data.ticks.map(([at]) => at), ticktext: data.ticks.map(([, text]) => text), tickangle: 0 };
  return axisLook({ title: { text: "physical time t", standoff: 6 }, ...ticks });
}

const cursor = () => ({
  type: "line", yref: "paper", y0: 0, y1: 1, x0: places[state.axis][state.place], x1: places[state.axis][state.place],
  line: { color: colour("cursor"), width: 2 }, name: "cursor",
});

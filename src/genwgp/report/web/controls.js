// Slider, keys, play and pause, choices. `show` is the one way to move.
const PAUSE = 90; // milliseconds between places while playing
let waiting = false;

function show(place) {
  state.place = Math.min(end, Math.max(0, Math.round(place)));
  const s = places.arclength;
  const text = `s = ${s[state.place].toFixed(digits(s[end]))} of ${s[end].toFixed(digits(s[end]))},  ${timeText(places.times[state.place])}`;
  byId("place").value = state.place;
  byId("place").setAttribute("aria-valuetext", text);
  byId("where").textContent = text;
  if (waiting) return; // what comes before the next frame of the screen is drawn at once
  waiting = true;
  requestAnimationFrame(async () => {
    waiting = false;
    await Promise.all([moveDensity(), moveCursors()]);
    document.documentElement.dataset.place = state.place; // what the pictures show now
  });
}

const digits = (length) => Math.max(0, 2 - Math.floor(Math.log10(length || 1)));

function play(on) {
  clearInterval(state.playing);
  state.playing = null;
  if (on) {
    if (state.place === end) show(0);
    state.playing = setInterval(() => {
      show(state.place + 1);
      if (state.place === end) play(false);
    }, PAUSE);
  }
  const button = byId("play");
  button.setAttribute("aria-pressed", String(on));
  button.setAttribute("aria-label", on ? "Pause" : "Play");
  button.firstElementChild.textContent = on ? "❚❚" : "▶";
}

const KEYS = {
  ArrowLeft: () => show(state.place - 1),
  ArrowRight: () => show(state.place + 1),
  Home: () => show(0),
  End: () => show(end),
  " ": () => play(state.playing === null),
};

// Keys work everywhere but where a control or a text has its own use for them.
function pressed(event) {
  const target = event.target;
  const own = target.closest("select, summary, .scroll, input[type=checkbox], button");
  const taken = own !== null && !(own.id === "play" && event.key !== " ");
  if (taken || event.ctrlKey || event.altKey || event.metaKey || !(event.key in KEYS)) return;
  event.preventDefault();
  if (event.key !== " ") play(false);
  KEYS[event.key]();
}

// A click on a curve goes to the place that is nearest.
function clicked(event) {
  const at = event.points[0].x;
  const distances = places[state.axis].map((position) => Math.abs(position - at));
  play(false);
  show(distances.indexOf(Math.min(...distances)));
}

const drawAll = () => Promise.all([drawDensity(), drawCurves()]);

function connect() {
  byId("place").max = end;
  byId("place").addEventListener("input", (event) => { play(false); show(Number(event.target.value)); });
  byId("play").addEventListener("click", () => play(state.playing === null));
  byId("particles").addEventListener("change", (event) => { state.particles = event.target.checked; drawDensity(); });
  byId("axis").addEventListener("change", (event) => { state.axis = event.target.value; drawCurves(); });
  byId("pair")?.addEventListener("change", (event) => {
    state.pair = event.target.value.split(",").map(Number);
    shown = null;
    drawDensity();
  });
  byId("theme").addEventListener("click", () => { chosenTheme = dark() ? "light" : "dark"; applyTheme(); drawAll(); });
  system.addEventListener("change", () => { applyTheme(); drawAll(); });
  document.addEventListener("keydown", pressed);
  for (const plot of curvePlots()) plot.on("plotly_click", clicked);
  new ResizeObserver(() => drawDensity()).observe(byId("density"));
}

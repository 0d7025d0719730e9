// What the page shows, and the arrays that it shows.
const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("data").textContent);
const places = data.frames;
const end = places.arclength.length - 1;
const state = { place: 0, axis: "arclength", pair: data.pair, particles: true, playing: null };

// An array of the page: its rows along the first axis as flat arrays of numbers.
function unpack(packed) {
  const bytes = Uint8Array.from(atob(packed.data), (character) => character.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const length = packed.shape.slice(1).reduce((product, size) => product * size, 1);
  const step = (packed.high - packed.low) / 65535;
  return Array.from({ length: packed.shape[0] }, (_, row) =>
    Float64Array.from({ length }, (_, k) => packed.low + step * view.getUint16(2 * (row * length + k), true)),
  );
}

const particles = unpack(data.particles);
const [, particleCount, coordinateCount] = data.particles.shape;

// One coordinate of all particles at a place.
const coordinate = (place, which) =>
  Float64Array.from({ length: particleCount }, (_, k) => particles[place][k * coordinateCount + which]);

const short = (value) => (value === null ? "∞" : String(Number(value.toPrecision(3))));
const timeText = (time) => `t = ${short(time)}`;

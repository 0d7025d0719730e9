// Densities of particles where no density is known: counts in cells, smoothed.
const CELLS = { line: 120, plane: 48 };
const WIDTH = { line: 4, plane: 1.7 }; // of the smoothing, in cells

function kernel(width) {
  const reach = Math.ceil(3 * width);
  const weights = Array.from({ length: 2 * reach + 1 }, (_, k) => Math.exp(-(((k - reach) / width) ** 2) / 2));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => weight / total);
}

// Smooth `count` lines of `size` numbers each: line l starts at l * between, its entries are `stride` apart.
function smooth(values, size, count, between, stride, weights) {
  const reach = (weights.length - 1) / 2;
  const result = new Float64Array(values.length);
  for (let line = 0; line < count; line++)
    for (let i = 0; i < size; i++) {
      const value = values[line * between + i * stride];
      if (value === 0) continue;
      for (let k = -reach; k <= reach; k++) {
        const j = i + k;
        if (j >= 0 && j < size) result[line * between + j * stride] += value * weights[k + reach];
      }
    }
  return result;
}

// The smoothed density of the particles at a place in one coordinate, or in two: rows of the second.
function histogram(place, chosen) {
  const kind = chosen.length === 1 ? "line" : "plane";
  const size = CELLS[kind];
  const columns = chosen.map((which) => coordinate(place, which));
  const ranges = chosen.map((which) => data.box[which]);
  const area = ranges.reduce((product, [low, high]) => (product * (high - low)) / size, 1);
  let values = new Float64Array(size ** chosen.length);
  for (let k = 0; k < particleCount; k++) {
    const cells = ranges.map(([low, high], i) => Math.floor(((columns[i][k] - low) / (high - low)) * size));
    if (cells.every((cell) => cell >= 0 && cell < size))
      values[cells.reduceRight((sum, cell) => sum * size + cell, 0)] += 1 / (particleCount * area);
  }
  const weights = kernel(WIDTH[kind]);
  if (kind === "line") return smooth(values, size, 1, 0, 1, weights);
  values = smooth(values, size, size, size, 1, weights);
  return smooth(values, size, size, 1, size, weights);
}

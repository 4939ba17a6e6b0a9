// Changes of one axial slice of a drawing. They change the row's own region; others stay.
import { OTHER, OWN } from "./grid.js";

const RADIUS = 2;

/** Give slice `to` the outline of slice `from`. */
export function copySlice(drawing, grid, from, to) {
  const source = from * grid.plane;
  const target = to * grid.plane;
  for (let i = 0; i < grid.plane; i++) {
    const here = drawing[target + i];
    if (drawing[source + i] === OWN) {
      if (here !== OTHER) drawing[target + i] = OWN;
    } else if (here === OWN) drawing[target + i] = 0;
  }
}

export function clearSlice(drawing, grid, z) {
  const first = z * grid.plane;
  for (let i = first; i < first + grid.plane; i++) if (drawing[i] === OWN) drawing[i] = 0;
}

/** Let the majority within two voxels decide: corners go round, specks and holes go. */
export function smoothSlice(drawing, grid, z) {
  const [nx, ny] = grid.size;
  const before = drawing.slice(z * grid.plane, (z + 1) * grid.plane);
  const disc = discOf(RADIUS);
  for (let y = 0; y < ny; y++) {
    for (let x = 0; x < nx; x++) {
      let inside = 0;
      for (const [dx, dy] of disc) {
        const column = x + dx;
        const line = y + dy;
        if (column < 0 || line < 0 || column >= nx || line >= ny) continue;
        if (before[line * nx + column] === OWN) inside++;
      }
      const here = before[y * nx + x];
      const after = 2 * inside > disc.length;
      if (after !== (here === OWN) && here !== OTHER) drawing[z * grid.plane + y * nx + x] = after ? OWN : 0;
    }
  }
}

function discOf(radius) {
  const found = [];
  for (let dy = -radius; dy <= radius; dy++) {
    for (let dx = -radius; dx <= radius; dx++) {
      if (dx * dx + dy * dy <= radius * radius + 1) found.push([dx, dy]);
    }
  }
  return found;
}

/** Return first and last slice of the row's region and its voxel nearest the centre; or null. */
export function extent(drawing, grid) {
  const first = drawing.indexOf(OWN);
  if (first < 0) return null;
  const last = drawing.lastIndexOf(OWN);
  const slices = { first: Math.floor(first / grid.plane), last: Math.floor(last / grid.plane) };
  return { ...slices, centre: nearestTo(middleOf(drawing, grid, slices), drawing, grid, slices) };
}

// Masks have millions of voxels, so the loops below call no function for each.

function middleOf(drawing, grid, { first, last }) {
  const [nx, ny] = grid.size;
  const sums = [0, 0, 0];
  let count = 0;
  for (let z = first, i = first * grid.plane; z <= last; z++) {
    for (let y = 0; y < ny; y++) {
      let inRow = 0;
      for (let x = 0; x < nx; x++, i++) if (drawing[i] === OWN) { sums[0] += x; inRow++; }
      sums[1] += y * inRow;
      sums[2] += z * inRow;
      count += inRow;
    }
  }
  return sums.map((sum) => sum / count);
}

function nearestTo(middle, drawing, grid, { first, last }) {
  const [nx, ny] = grid.size;
  const [mx, my, mz] = grid.spacing;
  let centre = null;
  let nearest = Infinity;
  for (let z = first, i = first * grid.plane; z <= last; z++) {
    for (let y = 0; y < ny; y++) {
      const ofRow = ((y - middle[1]) * my) ** 2 + ((z - middle[2]) * mz) ** 2;
      if (ofRow >= nearest) { i += nx; continue; }
      for (let x = 0; x < nx; x++, i++) {
        if (drawing[i] !== OWN) continue;
        const far = ofRow + ((x - middle[0]) * mx) ** 2;
        if (far < nearest) { nearest = far; centre = [x, y, z]; }
      }
    }
  }
  return centre;
}

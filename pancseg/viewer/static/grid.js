// The order of voxels: NiiVue draws on axes to the right, front and head; files have their own.

/** The axes of a NiiVue volume, and the way between its drawing and the file's voxels. */
export class Grid {
  /** @param volume the NiiVue volume, with its permutation and its steps in the file. */
  constructor(volume) {
    const [, nx, ny, nz] = volume.dimsRAS;
    this.size = [nx, ny, nz];
    this.plane = nx * ny;
    this.voxels = nx * ny * nz;
    this.step = volume.img2RASstep;
    this.start = volume.img2RASstart;
    this.spacing = volume.pixDimsRAS.slice(1, 4);
    this.voxelMl = (this.spacing[0] * this.spacing[1] * this.spacing[2]) / 1000;
    const towardsHead = volume.permRAS[2];
    this.headAxis = Math.abs(towardsHead) - 1;
    this.headFlipped = towardsHead < 0;
  }

  /** Call `each(index in the drawing, index in the file)` for the first voxel of every row. */
  rows(each) {
    const [nx, ny, nz] = this.size;
    const [, sy, sz] = this.step;
    const origin = this.start[0] + this.start[1] + this.start[2];
    let drawn = 0;
    for (let z = 0; z < nz; z++) {
      for (let y = 0; y < ny; y++, drawn += nx) each(drawn, origin + z * sz + y * sy);
    }
  }

  /** Fill a drawing: the row's own label becomes OWN, any other OTHER. */
  read(labels, label, drawing) {
    const [nx] = this.size;
    const [sx] = this.step;
    this.rows((drawn, filed) => {
      for (let x = 0; x < nx; x++, filed += sx) {
        const value = labels[filed];
        if (value) drawing[drawn + x] = label === null || value === label ? OWN : OTHER;
      }
    });
  }

  /** Return the row's region in the file's order, 1 where it is. */
  write(drawing) {
    const voxels = new Uint8Array(this.voxels);
    const [nx] = this.size;
    const [sx] = this.step;
    this.rows((drawn, filed) => {
      for (let x = 0; x < nx; x++, filed += sx) if (drawing[drawn + x] === OWN) voxels[filed] = 1;
    });
    return voxels;
  }

  /** Return the number of an axial slice in the whole scan, from the feet, from 1. */
  slice(z, scan) {
    const axis = this.headAxis;
    const { start, size, step } = scan.part;
    const filed = this.headFlipped ? size[axis] - 1 - z : z;
    const inScan = start[axis] + filed * step[axis];
    return this.headFlipped ? scan.size[axis] - inScan : inScan + 1;
  }
}

export const OWN = 1;
export const OTHER = 2;

/** Return the voxels of an uncompressed NIfTI-1 file of bytes. */
export function niftiBytes(buffer) {
  const view = new DataView(buffer);
  const little = view.getInt32(0, true) === 348;
  if (!little && view.getInt32(0, false) !== 348) throw new Error("The mask is not NIfTI.");
  return new Uint8Array(buffer, view.getFloat32(108, little));
}

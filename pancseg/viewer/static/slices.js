// The picture: NiiVue draws the CT in three planes and the mask on top.
import { OTHER } from "./grid.js";

const { Niivue, NVImage, DRAG_MODE, SLICE_TYPE } = window.niivue ?? { Niivue: class {} };

export const WINDOWS = {
  pancreas: [-160, 240], "soft tissue": [-125, 275], lung: [-1350, 150], bone: [-450, 1050],
};
const { AXIAL = 0, CORONAL = 1, SAGITTAL = 2 } = SLICE_TYPE ?? {};
const LAYOUTS = {
  wide: [[AXIAL, 0, 0, 0.64, 1], [CORONAL, 0.64, 0, 0.36, 0.5], [SAGITTAL, 0.64, 0.5, 0.36, 0.5]],
  tall: [[AXIAL, 0, 0, 1, 0.64], [CORONAL, 0, 0.64, 0.5, 0.36], [SAGITTAL, 0.5, 0.64, 0.5, 0.36]],
};
const SINGLE = { axial: AXIAL, coronal: CORONAL, sagittal: SAGITTAL };
const MASK_COLOURS = { // Okabe and Ito's: orange for the row's own region, purple for others
  R: [0, 230, 204], G: [0, 159, 121], B: [0, 0, 167], A: [0, 255, 255], I: [0, 1, OTHER],
  labels: ["", "mask", "other regions"],
};
const THEIRS = { R: [0, 86], G: [0, 180], B: [0, 233], A: [0, 255], I: [0, 255] }; // sky blue
const STYLES = { // opacity of the area (of the slider's), opacity of the rim
  both: [1, 1], contour: [0.004, 1], fill: [1, -1], off: [0, -1],
};

// Texture units of NiiVue.
const GRADIENT = 33990;
const GRADIENT_ON_THE_WAY = 33992;
const DRAWING = 33991;
const CROSS_PIXELS = 1.1;

/** NiiVue without its own keys and undo (this page has others), and quick for large scans. */
class Planes extends Niivue {
  keyDownListener() {}
  keyUpListener() {}
  resetBriCon() {} // a double click must not change the window
  drawAddUndoBitmap() {} // it would pack the whole drawing after each stroke; see history.js

  /** Keep the gradient small: it only lights the 3-D view, which this page has not. */
  rgbaTex(texture, unit, dims, initial) {
    const slim = unit === GRADIENT || unit === GRADIENT_ON_THE_WAY;
    return super.rgbaTex(texture, unit, slim ? [dims[0], 1, 1, dims[3]] : dims, initial);
  }

  /** Send the drawing to the graphics card: one slice while a pen is down on it, else all. */
  refreshDrawing(redraw = true) {
    if (!this.drawBitmap || !this.back?.dims) return;
    const down = !Number.isNaN(this.drawPenLocation[0]) && this.drawPenAxCorSag === AXIAL;
    this.sendSlices(...(down ? [this.drawPenLocation[2], this.drawPenLocation[2]] : [0, this.back.dims[3] - 1]));
    if (redraw) this.drawScene();
  }

  sendSlices(first, last) {
    const { gl } = this;
    const [, nx, ny] = this.back.dims;
    gl.activeTexture(DRAWING);
    gl.bindTexture(gl.TEXTURE_3D, this.drawTexture);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.texSubImage3D(gl.TEXTURE_3D, 0, 0, 0, first, nx, ny, last - first + 1, gl.RED, gl.UNSIGNED_BYTE,
      this.drawBitmap.subarray(first * nx * ny, (last + 1) * nx * ny));
  }

  /** Begin an empty drawing, without the second copy that NiiVue keeps for another tool. */
  createEmptyDrawing() {
    const { dims } = this.back;
    this.drawBitmap = new Uint8Array(dims[1] * dims[2] * dims[3]);
    this.drawTexture = this.r8Tex(this.drawTexture, DRAWING, dims);
  }

  // Radiologists say head and feet.
  drawTextBelow(at, text, ...rest) { super.drawTextBelow(at, text === "S" ? "H" : text, ...rest); }
  drawTextAbove(at, text, ...rest) { super.drawTextAbove(at, text === "I" ? "F" : text, ...rest); }
}

export class Slices {
  constructor(canvas) {
    this.canvas = canvas;
    this.opacity = 0.3;
    this.style = "both";
    this.planes = "three";
    this.theirs = null;
    this.onMove = () => {};
    this.onStroke = () => {};
    this.onWindow = () => {};
  }

  /** @throws Error in words where the browser has no WebGL 2. */
  async start() {
    if (!window.niivue || !document.createElement("canvas").getContext("webgl2")) {
      throw new Error("This browser has no WebGL 2, so it cannot show slices here.");
    }
    const nv = new Planes({
      logLevel: "silent", dragAndDropEnabled: false, isRadiologicalConvention: true,
      showAllOrientationMarkers: true, crosshairColor: [0.34, 0.71, 0.91, 0.7],
      crosshairWidthUnit: "mm", crosshairWidth: 0.7, crosshairGap: 6, fontMinPx: 14,
      fontSizeScaling: 0.15, sagittalNoseLeft: true, fontColor: [0.85, 0.85, 0.85, 1], loadingText: "",
      isForceMouseClickToVoxelCenters: true, invertScrollDirection: true,
    });
    nv.opts.mouseEventConfig = {
      leftButton: { primary: DRAG_MODE.crosshair, withShift: DRAG_MODE.pan },
      rightButton: DRAG_MODE.windowing, centerButton: DRAG_MODE.pan,
    };
    nv.opts.touchEventConfig = { singleTouch: DRAG_MODE.crosshair, doubleTouch: DRAG_MODE.pan };
    this.canvas.addEventListener("wheel", (event) => this.zoomByWheel(event), { capture: true });
    await nv.attachToCanvas(this.canvas, false);
    nv.setDrawColormap(MASK_COLOURS);
    nv.onLocationChange = () => this.onMove();
    for (const end of ["mouseup", "mouseleave", "touchend"]) {
      this.canvas.addEventListener(end, () => this.ended());
    }
    new ResizeObserver(() => requestAnimationFrame(() => this.lay())).observe(this.canvas.parentElement);
    this.nv = nv;
    this.lay();
  }

  get drawing() { return this.nv.drawBitmap; }
  get volume() { return this.nv.volumes[0]; }

  ended() {
    this.onStroke();
    if (this.volume) this.onWindow(this.volume.cal_min, this.volume.cal_max);
  }

  /** Show a scan (a NIfTI file in memory) with an empty mask. */
  async show(buffer, window) {
    this.empty();
    const volume = await NVImage.loadFromUrl({
      url: "scan.nii", name: "scan.nii", buffer, colormap: "gray", cal_min: window[0], cal_max: window[1],
    });
    this.nv.addVolume(volume);
    this.nv.createEmptyDrawing();
    this.nv.scene.pan2Dxyzmm = [0, 0, 0, 1];
    this.look();
    this.thin();
  }

  empty() {
    if (!this.nv) return;
    this.theirs = null;
    if (this.nv.drawBitmap) this.nv.closeDrawing();
    while (this.nv.volumes.length) this.nv.removeVolumeByIndex(this.nv.volumes.length - 1);
  }

  /** Show the drawing as it is now; only some slices of it have changed if they are given. */
  refresh(first = 0, last = this.nv.back.dims[3] - 1) {
    this.nv.sendSlices(first, last);
    this.nv.drawScene();
  }

  /** Show the mask that somebody else has saved, in blue, below the own; null takes it away. */
  async showTheirs(buffer) {
    if (this.theirs) this.nv.removeVolume(this.theirs);
    this.theirs = null;
    if (buffer) {
      this.theirs = await NVImage.loadFromUrl({
        url: "theirs.nii", name: "theirs.nii", buffer, cal_min: 0.5, cal_max: 0.6, opacity: 0.6,
      });
      this.nv.addColormap("theirs", THEIRS);
      this.theirs.colormap = "theirs";
      this.nv.addVolume(this.theirs);
    }
    this.nv.drawScene();
  }

  look({ style = this.style, opacity = this.opacity } = {}) {
    Object.assign(this, { style, opacity });
    if (!this.nv) return;
    const [area, rim] = STYLES[style];
    this.nv.drawRimOpacity = rim;
    this.nv.setDrawOpacity(area === 1 ? opacity : area);
  }

  lay(planes = this.planes) {
    this.planes = planes;
    if (!this.nv) return;
    if (planes in SINGLE) {
      this.nv.clearCustomLayout();
      this.nv.setSliceType(SINGLE[planes]);
      this.thin();
      return;
    }
    const { clientWidth, clientHeight } = this.canvas.parentElement;
    const tiles = LAYOUTS[clientWidth >= clientHeight ? "wide" : "tall"];
    this.nv.setSliceType(SLICE_TYPE.MULTIPLANAR);
    this.nv.setCustomLayout(tiles.map(([sliceType, ...position]) => ({ sliceType, position })));
    this.thin();
  }

  /** Keep the cross thin, but never thinner than a pixel, in which case parts of it vanish. */
  thin() {
    const scales = this.nv.screenSlices.map((tile) => tile.leftTopWidthHeight[2] / Math.abs(tile.fovMM[0]));
    const smallest = Math.min(...scales);
    if (Number.isFinite(smallest)) this.nv.setCrosshairWidth(CROSS_PIXELS / smallest);
  }

  setWindow([low, high]) {
    if (!this.volume) return;
    this.volume.cal_min = low;
    this.volume.cal_max = high;
    this.nv.updateGLVolume();
  }

  /** Let the left button draw with a value, or move the cross where `pen` is null. */
  setPen(pen, size = 1) {
    if (!this.nv) return;
    this.nv.opts.drawingEnabled = pen !== null && Boolean(this.drawing);
    if (pen === null) return;
    this.nv.opts.penSize = size;
    this.nv.setPenValue(pen.value, pen.filled);
  }

  /** The voxel at the cross: to the right, front and head, from 0. */
  get voxel() { return [...this.nv.frac2vox(this.nv.scene.crosshairPos)]; }

  goTo(voxel) {
    this.nv.scene.crosshairPos = this.nv.vox2frac(voxel);
    this.nv.drawScene();
    this.onMove();
  }

  move(dx, dy, dz) {
    if (this.volume) this.nv.moveCrosshairInVox(dx, dy, dz);
  }

  /** HU at the cross. */
  get value() {
    const { volume } = this;
    const [x, y, z] = this.voxel;
    const { img2RASstep: step, img2RASstart: start, hdr } = volume;
    const raw = volume.img[start[0] + start[1] + start[2] + x * step[0] + y * step[1] + z * step[2]];
    return raw * (hdr.scl_slope || 1) + (hdr.scl_inter || 0);
  }

  /** Enlarge around the cross; 1 shows the whole slice. */
  zoom(factor) {
    if (!this.volume) return;
    const before = this.nv.scene.pan2Dxyzmm;
    const wanted = factor === null ? 1 : Math.min(Math.max(before[3] * factor, 0.5), 20);
    const cross = this.nv.frac2mm(this.nv.scene.crosshairPos);
    const pan = factor === null ? [0, 0, 0]
      : [0, 1, 2].map((axis) => before[axis] + (before[3] - wanted) * cross[axis]);
    this.nv.setPan2Dxyzmm([...pan, wanted]);
    this.thin();
  }

  zoomByWheel(event) {
    if (!event.ctrlKey) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    this.zoom(event.deltaY < 0 ? 1.15 : 1 / 1.15);
  }
}

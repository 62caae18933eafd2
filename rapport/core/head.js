// The head of head.py, by the same sums: RGBA of size x size pixels, on nothing. Angles in degrees, tint as [r, g, b].
function headPainter(shape, size) {
  const count = size * size, pixel = 2 * shape.view / size;
  const depth = new Float32Array(count), normal = new Float32Array(3 * count), colour = new Float32Array(3 * count);
  const rgba = new Uint8ClampedArray(4 * count);
  const { ambient, sky, lamp, shine, edge } = shape.light;
  const towards = unit(shape.light.towards), halfway = unit([towards[0] + 1, towards[1], towards[2]]);
  const radians = Math.PI / 180;

  function add(part, turn, tint) {
    let axes = part.axes, centre = part.centre;
    if (!part.fixed) {
      axes = turn.map((row) => [0, 1, 2].map((j) => dot(row, axes.map((other) => other[j]))));
      const from = centre.map((value, i) => value - shape.pivot[i]);
      centre = turn.map((row, i) => shape.pivot[i] + dot(row, from));
    }
    const weights = part.radii.map((r) => 1 / (r * r));
    const form = axes.map((a) => axes.map((b) => a[0] * weights[0] * b[0] + a[1] * weights[1] * b[1] + a[2] * weights[2] * b[2]));
    const reach = axes.map((a) => Math.hypot(a[0] * part.radii[0], a[1] * part.radii[1], a[2] * part.radii[2]));
    const [[xx, xy, xz], [, yy, yz], [, , zz]] = form;
    const within = (value) => Math.trunc(Math.min(size, Math.max(0, value)));
    const left = within((shape.view + centre[1] - reach[1]) / pixel - 1), right = within((shape.view + centre[1] + reach[1]) / pixel + 1);
    const top = within((shape.view + shape.middle - centre[2] - reach[2]) / pixel - 1), bottom = within((shape.view + shape.middle - centre[2] + reach[2]) / pixel + 1);
    const flat = part.paint === "eye" ? null : part.paint === "brow" ? tint.map((v) => v * shape.brow) : shape.colours[part.paint] ?? tint;
    const { white, iris, pupil } = shape.colours, ahead = [turn[0][0], turn[1][0], turn[2][0]];

    for (let row = top; row < bottom; row++) {
      const z = shape.view + shape.middle - (row + 0.5) * pixel - centre[2];
      for (let column = left; column < right; column++) {
        const y = (column + 0.5) * pixel - shape.view - centre[1];
        const half = xy * y + xz * z, inside = half * half - xx * (yy * y * y + 2 * yz * y * z + zz * z * z - 1);
        if (inside <= 0) continue;
        const at = row * size + column, x = (Math.sqrt(inside) - half) / xx, step = x + centre[0] - depth[at];
        const share = Math.min(1, 0.5 + step / (2 * part.soft));
        if (share <= 0) continue;
        let nx = xx * x + half, ny = xy * x + yy * y + yz * z, nz = xz * x + yz * y + zz * z;
        const scale = 1 / Math.sqrt(nx * nx + ny * ny + nz * nz);
        nx *= scale; ny *= scale; nz *= scale;
        let paint = flat;
        if (!paint) {
          const facing = nx * ahead[0] + ny * ahead[1] + nz * ahead[2];
          paint = nx * halfway[0] + ny * halfway[1] + nz * halfway[2] > shape.eye.glint ? [255, 255, 255] : facing > shape.eye.pupil ? pupil : facing > shape.eye.iris ? iris : white;
        }
        depth[at] += step * share + part.soft * share * (1 - share);
        const k = 3 * at;
        normal[k] += (nx - normal[k]) * share; normal[k + 1] += (ny - normal[k + 1]) * share; normal[k + 2] += (nz - normal[k + 2]) * share;
        colour[k] += (paint[0] - colour[k]) * share; colour[k + 1] += (paint[1] - colour[k + 1]) * share; colour[k + 2] += (paint[2] - colour[k + 2]) * share;
      }
    }
  }

  function light() {
    rgba.fill(0);
    for (let at = 0; at < count; at++) {
      if (depth[at] <= shape.far) continue;
      const k = 3 * at, scale = 1 / Math.hypot(normal[k], normal[k + 1], normal[k + 2]);
      const nx = normal[k] * scale, ny = normal[k + 1] * scale, nz = normal[k + 2] * scale, up = 0.5 + 0.5 * nz;
      const lit = Math.min(1, Math.max(0, (nx * towards[0] + ny * towards[1] + nz * towards[2] + 0.25) / 1.25));
      const bright = Math.max(0, nx * halfway[0] + ny * halfway[1] + nz * halfway[2]) ** 28;
      const grazing = 1 - Math.min(1, Math.max(0, nx));
      const much = ambient + sky * up + lamp * lit, more = 255 * (shine * bright + edge * grazing * grazing * grazing * (0.4 + 0.6 * up));
      for (let i = 0; i < 3; i++) rgba[4 * at + i] = colour[k + i] * much + more;
      rgba[4 * at + 3] = 255;
    }
  }

  return (degrees, tint) => {
    depth.fill(shape.far); normal.fill(0); colour.fill(0);
    const turn = turned(degrees);
    for (const part of shape.parts) add(part, turn, tint);
    light();
    return rgba;
  };

  // Rz(yaw) Ry(pitch) Rx(roll)
  function turned([roll, pitch, yaw]) {
    const [a, b, c] = [Math.cos(roll * radians), Math.cos(pitch * radians), Math.cos(yaw * radians)];
    const [p, q, r] = [Math.sin(roll * radians), Math.sin(pitch * radians), Math.sin(yaw * radians)];
    return [[c * b, c * q * p - r * a, c * q * a + r * p], [r * b, r * q * p + c * a, r * q * a - c * p], [-q, b * p, b * a]];
  }
  function dot(a, b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }
  function unit(v) { const long = Math.hypot(...v); return v.map((value) => value / long); }
}

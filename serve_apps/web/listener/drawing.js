// Draws angles as numbers and as traces. Frames are {time_s, roll, pitch, yaw}, in degrees.

import { ANGLES } from "./head_drawing.js";

const WINDOW_S = 10;
export const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const signed = (angle) => `${Math.abs(angle) < 0.05 ? "" : angle < 0 ? "−" : "+"}${Math.abs(angle).toFixed(1)}°`;

export function showAngles(elements, frame) {
  ANGLES.forEach((name, i) => { elements[i].textContent = signed(frame[name]); });
}

// The frames of the last seconds up to `now`, each angle in a strip of its own.
export function drawTraces(canvas, frames, now) {
  const dots = devicePixelRatio || 1, wide = canvas.clientWidth, tall = canvas.clientHeight, left = 44, strip = (tall - 22) / 3;
  if (canvas.width !== Math.round(wide * dots) || canvas.height !== Math.round(tall * dots)) {
    canvas.width = Math.round(wide * dots);
    canvas.height = Math.round(tall * dots);
  }
  const pen = canvas.getContext("2d"), start = Math.max(0, now - WINDOW_S);
  const x = (seconds) => left + (seconds - start) / WINDOW_S * (wide - left - 4);
  pen.setTransform(dots, 0, 0, dots, 0, 0);
  pen.clearRect(0, 0, wide, tall);
  pen.font = "12px system-ui, sans-serif";
  pen.lineJoin = "round";
  const shown = frames.filter((frame) => frame.time_s >= start - 0.1);
  ANGLES.forEach((name, i) => {
    const top = i * strip + 2, high = strip - 10;
    const most = Math.max(3, ...shown.map((frame) => 1.1 * Math.abs(frame[name])));
    const y = (angle) => top + high / 2 - angle / most * high / 2;
    pen.strokeStyle = style("--line");
    pen.lineWidth = 1;
    pen.strokeRect(left + 0.5, top + 0.5, wide - left - 5, high - 1);
    pen.beginPath(); pen.moveTo(left, y(0)); pen.lineTo(wide - 4, y(0)); pen.stroke();
    pen.fillStyle = style("--soft");
    pen.textAlign = "right"; pen.textBaseline = "middle";
    pen.fillText("0°", left - 6, y(0));
    pen.textBaseline = "top";
    pen.fillText(`${most.toFixed(0)}°`, left - 6, top);
    pen.save();
    pen.beginPath(); pen.rect(left, top, wide - left - 4, high); pen.clip();
    pen.beginPath();
    shown.forEach((frame, k) => {
      // A line does not cross time for which there are no poses.
      const joined = k > 0 && frame.time_s - shown[k - 1].time_s < 0.25;
      pen[joined ? "lineTo" : "moveTo"](x(frame.time_s), y(frame[name]));
    });
    pen.strokeStyle = style(`--${name}`); pen.lineWidth = 2; pen.stroke();
    pen.restore();
    pen.textAlign = "left"; pen.fillStyle = style("--ink");
    pen.fillText(name, left + 7, top + 5);
  });
  pen.textAlign = "center"; pen.textBaseline = "bottom"; pen.fillStyle = style("--soft");
  for (let s = Math.ceil(start / 2) * 2; s <= start + WINDOW_S; s += 2) pen.fillText(`${s} s`, Math.min(wide - 16, Math.max(left + 8, x(s))), tall);
}

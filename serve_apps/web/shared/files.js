// Recordings that are chosen, or dropped anywhere on the page. Calls take(file) for each.

import { $ } from "./page.js";

export function takeFiles(take) {
  $("file").addEventListener("change", (event) => {
    const [file] = event.target.files;
    if (file) take(file);
    event.target.value = ""; // the same file may be chosen again
  });
  for (const type of ["dragenter", "dragover"]) {
    document.addEventListener(type, (event) => { event.preventDefault(); $("input").classList.add("over"); });
  }
  for (const type of ["dragleave", "drop"]) {
    document.addEventListener(type, (event) => { event.preventDefault(); $("input").classList.remove("over"); });
  }
  document.addEventListener("drop", (event) => {
    const [file] = event.dataTransfer.files;
    if (file) take(file);
  });
}

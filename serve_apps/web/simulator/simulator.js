// A row for each service, read again every two seconds.

import { $, ask, fail, onKey, show, textElement } from "./page.js";

const PAUSE_MS = 2000;

function row(service) {
  const { asked = 0, hit_rate: rate } = service.calls;
  const spared = rate === undefined ? "no cache" : `${Math.round(100 * rate)} %`;
  const cells = [service.id, String(asked), spared, service.version].map((text) => textElement("td", text));
  const line = document.createElement("tr");
  line.append(...cells);
  return line;
}

async function refresh() {
  try {
    const { data } = await ask("v1/models");
    $("services").replaceChildren(...data.map(row));
    show("error", false);
  } catch (error) {
    fail(error.message);
  }
}

onKey(refresh);
await refresh();
setInterval(refresh, PAUSE_MS);

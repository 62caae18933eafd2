// What every page does: find its elements, ask the server with the key that the user gave, and tell what went wrong.

export const $ = (id) => document.getElementById(id);
export const show = (id, visible) => $(id).classList.toggle("hidden", !visible);
export const colours = await (await fetch("assets/colours.json")).json();

// The key stays in this tab: it is forgotten when the tab closes.
const headers = () => {
  const key = sessionStorage.getItem("rapport-key");
  return key ? { Authorization: `Bearer ${key}` } : {};
};

// The response, when it is a good one; otherwise an error with the server's own message.
export async function request(path, options = {}) {
  const response = await fetch(path, { ...options, headers: { ...options.headers, ...headers() } });
  if (response.ok) return response;
  if (response.status === 401) show("key-form", true);
  const body = await response.json().catch(() => null);
  throw Object.assign(new Error(body?.error?.message ?? `the server answered ${response.status}`), { status: response.status });
}

export const ask = async (path, options) => (await request(path, options)).json();

// A WebSocket to a path of this server. A browser can send the key with it as a subprotocol alone, and wants one other back.
export function openSocket(path, subprotocol) {
  const url = new URL(path, location.href);
  url.protocol = url.protocol.replace("http", "ws");
  const key = sessionStorage.getItem("rapport-key");
  return new WebSocket(url, [subprotocol, ...(key ? [`openai-insecure-api-key.${key}`] : [])]);
}

export function fail(message) {
  $("error").textContent = message.charAt(0).toUpperCase() + message.slice(1);
  show("error", true);
}

export function textElement(tag, text, className = "") {
  const element = document.createElement(tag);
  element.textContent = text;
  element.className = className;
  return element;
}

// Calls `again` once the user has given a key.
export function onKey(again) {
  $("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    sessionStorage.setItem("rapport-key", $("key").value.trim());
    show("key-form", false);
    again();
  });
}

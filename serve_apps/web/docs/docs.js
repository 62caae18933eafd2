// A reader of OpenAPI documents that needs nothing from the internet.

const api = await (await fetch("openapi.json")).json();

const element = (tag, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
};
const resolve = (schema) => {
  const name = schema?.$ref?.split("/").at(-1);
  return name ? api.components.schemas[name] : schema ?? {};
};

function typeOf(schema) {
  if (schema?.$ref) return schema.$ref.split("/").at(-1);
  if (schema?.anyOf) return schema.anyOf.map(typeOf).filter((type) => type !== "null").join(" or ");
  if (schema?.type === "array") return `list of ${typeOf(schema.items)}`;
  if (schema?.contentMediaType || schema?.format === "binary") return "file";
  if (schema?.type === "object" && schema.additionalProperties) return `object of ${typeOf(schema.additionalProperties)}`;
  return schema?.const !== undefined ? JSON.stringify(schema.const) : schema?.type ?? "any";
}

function limits(schema) {
  const inner = schema.anyOf?.find((option) => option.type !== "null") ?? schema;
  const parts = [];
  if (inner.minimum !== undefined) parts.push(`at least ${inner.minimum}`);
  if (inner.maximum !== undefined) parts.push(`at most ${inner.maximum}`);
  if (schema.default !== undefined && schema.default !== null) parts.push(`default ${JSON.stringify(schema.default)}`);
  return parts.length ? `(${parts.join(", ")})` : "";
}

function fields(schema, required = schema.required ?? []) {
  const rows = Object.entries(schema.properties ?? {}).map(([name, field]) => element("tr", {},
    element("td", {}, element("code", { textContent: name })),
    element("td", { textContent: typeOf(field) + (required.includes(name) ? "" : ", optional") }),
    element("td", { textContent: [field.description, field.const === undefined && limits(field)].filter(Boolean).join(" ") }),
  ));
  return element("table", {}, element("tbody", {}, ...rows));
}

function curl(path, method, body) {
  const parts = ["curl -s"];
  const files = body?.required ?? [];
  for (const name of files) parts.push(`-F ${name}=@clip.wav`);
  if (method !== "get" && !files.length) parts.push(`-X ${method.toUpperCase()}`);
  return `${parts.join(" ")} ${decodeURI(new URL(path.slice(1), location.href).href)}`;
}

function endpoint(path, method, operation) {
  const card = element("section", { className: "card endpoint" });
  card.append(element("h2", {},
    element("span", { className: "method", textContent: method.toUpperCase() }),
    element("code", { className: "path", textContent: path }),
    element("span", { className: "summary", textContent: operation.summary ?? "" }),
  ));
  card.append(element("p", { textContent: operation.description ?? "" }));
  const [mediaType, content] = Object.entries(operation.requestBody?.content ?? {})[0] ?? [];
  const body = content && resolve(content.schema);
  if (body) card.append(element("h3", { textContent: `Fields (${mediaType})` }), fields(body));
  card.append(element("pre", { textContent: curl(path, method, body) }));
  for (const [status, response] of Object.entries(operation.responses)) {
    const schema = resolve(response.content?.["application/json"]?.schema);
    const shown = element("details", {}, element("summary", { textContent: `${status}: ${response.description}` }));
    if (schema.properties) shown.append(fields(schema));
    const example = schema.examples?.[0];
    if (example) shown.append(element("pre", { textContent: JSON.stringify(example, null, 2) }));
    card.append(shown);
  }
  return card;
}

document.title = api.info.title;
document.getElementById("title").textContent = api.info.title;
for (const block of (api.info.description ?? "").trim().split(/\n\n/)) {
  const code = /^ {4}/.test(block);
  document.getElementById("description").append(element(code ? "pre" : "p", { textContent: code ? block.replace(/^ {4}/gm, "") : block }));
}
for (const [path, methods] of Object.entries(api.paths)) {
  for (const [method, operation] of Object.entries(methods)) document.getElementById("paths").append(endpoint(path, method, operation));
}

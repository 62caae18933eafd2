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

// A text in which `words` between backticks are code.
const written = (text) => (text ?? "").split("`").map((part, number) => (number % 2 ? element("code", { textContent: part }) : part));

// A block of a description: code that is indented, a table of rows between bars, or a paragraph.
function block(text) {
  if (/^ {4}/.test(text)) return element("pre", { textContent: text.replace(/^ {4}/gm, "") });
  if (!text.startsWith("|")) return element("p", {}, ...written(text));
  const rows = text.split("\n").filter((row) => !/^[|\- ]+$/.test(row)).map((row) => row.replace(/^\||\|$/g, "").split("|"));
  return element("table", {}, element("tbody", {}, ...rows.map((row) => (
    element("tr", {}, ...row.map((cell) => element("td", {}, ...written(cell.trim()))))
  ))));
}

// The schema of an object that a field holds, or a list of them.
function objectOf(field) {
  const inner = field.anyOf?.find((option) => option.type !== "null") ?? field;
  const schema = resolve(inner.type === "array" ? inner.items : inner);
  return schema.properties ? schema : null;
}

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
    element("td", {}, ...written([field.description, field.const === undefined && limits(field)].filter(Boolean).join(" "))),
  ));
  return element("table", {}, element("tbody", {}, ...rows));
}

// The fields of a body, and those of the objects in it.
function allFields(schema, heading, seen = new Set()) {
  if (seen.has(schema)) return [];
  seen.add(schema);
  const inner = Object.values(schema.properties ?? {}).map(objectOf).filter(Boolean);
  return [element("h3", { textContent: heading }), fields(schema), ...inner.flatMap((other) => allFields(other, other.title, seen))];
}

// A text as one word of a shell.
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function curl(path, method, body, mediaType) {
  const parts = ["curl -s"];
  const json = mediaType === "application/json";
  if (json) parts.push(`-H 'Content-Type: ${mediaType}' -d ${body.examples ? quoted(JSON.stringify(body.examples[0])) : "@request.json"}`);
  const files = json ? [] : body?.required ?? [];
  for (const name of files) parts.push(`-F ${name}=@clip.wav`);
  if (method !== "get" && !json && !files.length) parts.push(`-X ${method.toUpperCase()}`);
  return `${parts.join(" ")} ${decodeURI(new URL(path.slice(1), location.href).href)}`;
}

function endpoint(path, method, operation) {
  const card = element("section", { className: "card endpoint" });
  card.append(element("h2", {},
    element("span", { className: "method", textContent: method.toUpperCase() }),
    element("code", { className: "path", textContent: path }),
    element("span", { className: "summary", textContent: operation.summary ?? "" }),
  ));
  card.append(element("p", {}, ...written(operation.description)));
  const [mediaType, content] = Object.entries(operation.requestBody?.content ?? {})[0] ?? [];
  const body = content && resolve(content.schema);
  if (body) card.append(...allFields(body, `Fields (${mediaType})`));
  card.append(element("pre", { textContent: curl(path, method, body, mediaType) }));
  for (const [status, response] of Object.entries(operation.responses)) {
    const schema = resolve(response.content?.["application/json"]?.schema);
    const shown = element("details", {}, element("summary", {}, ...written(`${status}: ${response.description}`)));
    if (schema.properties) shown.append(fields(schema));
    const example = schema.examples?.[0];
    if (example) shown.append(element("pre", { textContent: JSON.stringify(example, null, 2) }));
    card.append(shown);
  }
  return card;
}

document.title = api.info.title;
document.getElementById("title").textContent = api.info.title;
document.getElementById("description").append(...(api.info.description ?? "").trim().split(/\n\n/).map(block));
for (const [path, methods] of Object.entries(api.paths)) {
  for (const [method, operation] of Object.entries(methods)) document.getElementById("paths").append(endpoint(path, method, operation));
}

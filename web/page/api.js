/** The service's routes, as promises of JSON. An error carries `code` and `status`. */
export async function call(path, options = {}) {
  const answer = await fetch(`/api/${path}`, options);
  if (answer.status === 204) return null;
  const body = await answer.json().catch(() => ({}));
  if (answer.ok) return body;
  const error = new Error(body.error?.message ?? answer.statusText);
  error.code = body.error?.code;
  error.status = answer.status;
  throw error;
}

export const send = (path, body, method = "POST") =>
  call(path, { method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

export const upload = (file) =>
  call("uploads", { method: "POST", headers: { "Content-Type": file.type || "image/jpeg" }, body: file });

export const query = (entries) => {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(entries)) {
    if (value === "" || value === null || value === undefined) continue;
    for (const one of Array.isArray(value) ? value : [value]) parameters.append(name, one);
  }
  return parameters.toString();
};

// Loads a page of this server as a document. The browser parses it; no string becomes markup here, which the
// policy of the pages (Trusted Types) would not allow either. Scripts in it do not run.

/**
 * @param {string} url
 * @param {URLSearchParams} [fields] sent as a form, where given
 * @param {Record<string, string>} [more] further headers
 * @returns {Promise<{page: Document, url: string, status: number, headers: (name: string) => string | null}>}
 */
export function load(url, fields, more = {}) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(fields ? "POST" : "GET", url);
    request.responseType = "document";
    request.setRequestHeader("accept", "text/html");
    for (const [name, value] of Object.entries(more)) request.setRequestHeader(name, value);
    if (fields) request.setRequestHeader("content-type", "application/x-www-form-urlencoded");
    request.onload = () => {
      const page = request.response;
      if (!(page instanceof Document)) return reject(new Error("not a page"));
      const headers = (/** @type {string} */ name) => request.getResponseHeader(name);
      resolve({ page, url: request.responseURL, status: request.status, headers });
    };
    request.onerror = () => reject(new Error("no answer"));
    request.send(fields ?? null);
  });
}

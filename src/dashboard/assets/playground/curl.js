// The same call for a shell. The key stands in it by the name of a variable, and by nothing else.

/**
 * @param {string} origin
 * @param {Record<string, any>} body
 */
export function curl(origin, body) {
  const json = JSON.stringify(body, null, 2).replaceAll("'", "'\\''");
  return [
    `curl ${origin}/v1/chat/completions`,
    `-H "Authorization: Bearer $NEMO_API_KEY"`,
    "-H 'Content-Type: application/json'",
    `-d '${json}'`,
  ].join(" \\\n  ");
}

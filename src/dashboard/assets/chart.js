// Charts that can be read with the arrow keys or by pointing: what a column says stands below the drawing. Without
// this module there is the table.

bind();
document.addEventListener("nemo:renewed", bind);

function bind() {
  for (const figure of document.querySelectorAll("figure[data-chart]:not([data-bound])")) bindOne(figure);
}

/** @param {Element} figure */
function bindOne(figure) {
  const plot = figure.querySelector(".plot");
  const reading = figure.querySelector("output[data-reading]");
  const columns = [...figure.querySelectorAll(".column")];
  if (!(plot instanceof HTMLElement) || !(reading instanceof HTMLOutputElement) || columns.length === 0) return;
  figure.setAttribute("data-bound", "yes");
  figure.querySelector("[data-keys]")?.removeAttribute("hidden");
  plot.tabIndex = 0;
  const whole = reading.dataset.reading ?? "";
  let at = -1;

  /** @param {number} to the column to be read, or -1 for the whole */
  const read = (to) => {
    columns[at]?.classList.remove("chosen");
    at = to;
    columns[at]?.classList.add("chosen");
    reading.textContent = columns[at]?.getAttribute("data-says") ?? whole;
  };

  plot.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const to = next(event.key, at, columns.length);
    if (to === null) return;
    event.preventDefault();
    read(to);
  });
  plot.addEventListener("blur", () => read(-1));
  for (const [place, column] of columns.entries()) column.addEventListener("pointerenter", () => read(place));
  plot.addEventListener("pointerleave", () => read(-1));
}

/**
 * Where a key leads: the latest column comes first, as it is looked for most.
 * @param {string} key
 * @param {number} at
 * @param {number} count
 * @returns {number | null}
 */
function next(key, at, count) {
  switch (key) {
    case "ArrowLeft": return at < 0 ? count - 1 : Math.max(at - 1, 0);
    case "ArrowRight": return at < 0 ? count - 1 : Math.min(at + 1, count - 1);
    case "Home": return 0;
    case "End": return count - 1;
    case "Escape": return at < 0 ? null : -1;
    default: return null;
  }
}

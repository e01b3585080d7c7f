// What a model said, as text. It is data from a stranger: it becomes text nodes and blocks of code, and never
// markup, links, images or anything else that a browser would follow.

/** More than this is not shown: a page must survive whatever a model sends. */
export const SHOWN_MAX = 1024 * 1024;

/** @typedef {{kind: "text" | "code", language: string, text: string}} Block */

/**
 * Splits at fences: a line of three or more backticks or tildes, until one of at least as many or the end.
 * @param {string} text
 * @returns {Block[]}
 */
export function blocks(text) {
  /** @type {Block[]} */ const found = [];
  /** @type {string[]} */ let lines = [];
  let fence = "";
  let language = "";
  const close = () => {
    const text = lines.join("\n");
    if (fence) found.push({ kind: "code", language, text });
    else if (text.trim() !== "") found.push({ kind: "text", language: "", text: text.replace(/^\n+|\s+$/g, "") });
    lines = [];
  };
  for (const line of text.split("\n")) {
    const [, mark = "", info = ""] = /^ {0,3}(`{3,}|~{3,})([^`]*)$/.exec(line) ?? [];
    if (!fence && mark) {
      close();
      [fence, language] = [mark, info.trim().split(/\s/)[0] ?? ""];
    } else if (fence && mark[0] === fence[0] && mark.length >= fence.length && info.trim() === "") {
      close();
      fence = "";
    } else {
      lines.push(line);
    }
  }
  close();
  return found;
}

/** Shows a text that grows. */
export class Output {
  #place;
  #text = "";
  #cut = false;
  /** @type {{kind: string, language: string, node: Text}[]} */ #shown = [];
  #due = false;

  /** @param {HTMLElement} place */
  constructor(place) {
    this.#place = place;
  }

  get text() {
    return this.#text;
  }

  /** Whether there was more than is shown. */
  get isCut() {
    return this.#cut;
  }

  /** @param {string} more */
  add(more) {
    const room = SHOWN_MAX - this.#text.length;
    this.#cut ||= more.length > room;
    this.#text += more.slice(0, Math.max(room, 0));
    if (this.#due) return;
    this.#due = true;
    // Not for each piece, of which thousands may come in a second.
    setTimeout(() => this.show(), 30);
  }

  /** Brings the page up to date with the text. */
  show() {
    this.#due = false;
    blocks(this.#text).forEach((block, index) => {
      const shown = this.#shown[index];
      if (shown && shown.kind === block.kind && shown.language === block.language) {
        if (shown.node.data !== block.text) shown.node.data = block.text;
      } else {
        this.#dropFrom(index);
        this.#shown.push({ ...block, node: this.#append(block) });
      }
    });
  }

  /** @param {number} index */
  #dropFrom(index) {
    this.#shown.length = index;
    while (this.#place.children.length > index) this.#place.lastElementChild?.remove();
  }

  /** @param {Block} block */
  #append({ kind, language, text }) {
    const node = document.createTextNode(text);
    const within = document.createElement(kind === "code" ? "pre" : "p");
    within.dir = "auto";
    if (kind === "code") {
      const code = document.createElement("code");
      code.append(node);
      within.append(code);
      within.tabIndex = 0;
      within.setAttribute("role", "group");
      within.setAttribute("aria-label", language ? `Code, ${language.slice(0, 40)}` : "Code");
    } else {
      within.append(node);
    }
    this.#place.append(within);
    return node;
  }
}

// Server-sent events, as they arrive: bytes in, the data of whole events out (WHATWG HTML 9.2.6).

/** An event without an end is given up at so many characters. */
const LONGEST = 1024 * 1024;

export class EventTooLong extends Error {}

export class EventReader {
  #decoder = new TextDecoder();
  #line = "";
  /** @type {string[]} */ #data = [];
  #size = 0;
  #afterReturn = false;

  /**
   * @param {Uint8Array} bytes
   * @returns {string[]} the data of the events that ended in them
   */
  push(bytes) {
    let text = this.#decoder.decode(bytes, { stream: true });
    // A line feed that belongs to a carriage return in the bytes before.
    const follows = this.#afterReturn && text.startsWith("\n");
    if (text !== "") this.#afterReturn = text.endsWith("\r");
    if (follows) text = text.slice(1);
    const lines = (this.#line + text).split(/\r\n|\n|\r/);
    this.#line = lines.pop() ?? "";
    const events = [];
    for (const line of lines) {
      const event = this.#take(line);
      if (event !== null) events.push(event);
    }
    // What is left of it would be no event any more.
    if (this.#size + this.#line.length > LONGEST) throw new EventTooLong();
    return events;
  }

  /**
   * @param {string} line
   * @returns {string | null} the data of an event that this line ends
   */
  #take(line) {
    if (line === "") {
      const event = this.#data.length > 0 ? this.#data.join("\n") : null;
      this.#data = [];
      this.#size = 0;
      return event;
    }
    const [, name, value] = /^([^:]*):? ?(.*)$/s.exec(line) ?? [];
    if (name === "data") {
      this.#data.push(value ?? "");
      this.#size += line.length;
    }
    return null;
  }
}

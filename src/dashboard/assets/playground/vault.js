// The virtual key of this tab: the one place that takes, keeps, hands out and forgets it.
//
// - It is kept in this tab's `sessionStorage`: a refresh keeps it, closing the tab ends it, no other tab sees it.
// - A copy of this tab (duplicated, or opened with an opener) gets a copy of that storage. Each tab holds a Web
//   Lock by its own name for as long as it lives; a tab whose name is taken is a copy and starts empty.
// - After 30 minutes without a touch it is wiped; so is that of a tab that was restored after such a time.
// - Where a page has no Web Locks (plain HTTP away from localhost) nothing is kept: the key lives in this page's
//   memory and a refresh ends it.
// - Nothing but a virtual key is ever kept.

const KEY = "nemo.playground.key";
const TOUCHED = "nemo.playground.touched";
const TAB = "nemo.playground.tab";

/** Without a touch for so long, the key is wiped. */
export const IDLE_MS = 30 * 60 * 1000;
/** How often that is looked at. */
const LOOK_MS = 10 * 1000;
/** How long a refreshed page waits for the page before it to let go of their name. */
const REFRESH_MS = 2000;
/** Clocks are set; one that is set back by more than this may have been asleep for any time. */
const SET_BACK_MS = 60 * 1000;

/** @typedef {"asked" | "idle" | "copy" | "refused"} Why */

/** What somebody pasted is not kept. */
export class NotKept extends Error {}

export class Vault {
  /** @type {Storage | null} */ #storage;
  #memory = "";
  /** @type {(why: Why) => void} */ #forgotten;

  /**
   * @param {Storage | null} storage
   * @param {(why: Why) => void} forgotten is told when a key went, and why
   */
  constructor(storage, forgotten) {
    this.#storage = storage;
    this.#forgotten = forgotten;
  }

  /**
   * The vault of this tab.
   * @param {(why: Why) => void} forgotten
   */
  static async open(forgotten) {
    const vault = new Vault(storageOfThisTab(), forgotten);
    await vault.#claim();
    vault.#wipeIfIdle();
    for (const touch of ["keydown", "pointerdown", "paste"]) {
      addEventListener(touch, () => vault.touch(), { capture: true, passive: true });
    }
    document.addEventListener("visibilitychange", () => vault.#wipeIfIdle());
    setInterval(() => vault.#wipeIfIdle(), LOOK_MS);
    return vault;
  }

  /** Whether a refresh keeps the key. */
  get survivesRefresh() {
    return this.#storage !== null;
  }

  /** The key, if there is one and it was not left alone for too long. */
  get key() {
    this.#wipeIfIdle();
    return this.#held();
  }

  /**
   * Keeps a key. What is none is refused before it is kept anywhere.
   * @param {string} pasted
   * @throws {NotKept} says what it is instead, and never repeats it
   */
  put(pasted) {
    const key = pasted.trim();
    const wrong = whyNot(key);
    if (wrong) throw new NotKept(wrong);
    if (this.#storage) {
      this.#storage.setItem(KEY, key);
    } else {
      this.#memory = key;
    }
    this.#now();
  }

  /** @param {Why} why */
  forget(why) {
    const held = this.#held();
    this.#memory = "";
    this.#storage?.removeItem(KEY);
    this.#storage?.removeItem(TOUCHED);
    if (held) this.#forgotten(why);
  }

  /** Somebody is here. */
  touch() {
    this.#wipeIfIdle();
    if (this.#held()) this.#now();
  }

  #held() {
    return this.#storage ? this.#storage.getItem(KEY) : this.#memory || null;
  }

  #touched = 0;

  #now() {
    this.#touched = Date.now();
    this.#storage?.setItem(TOUCHED, String(this.#touched));
  }

  /** Asks the clock before anything else does, so that the first touch after a night does not renew the key. */
  #wipeIfIdle() {
    if (!this.#held()) return;
    const idle = Date.now() - (this.#storage ? Number(this.#storage.getItem(TOUCHED)) : this.#touched);
    if (!(idle < IDLE_MS && idle > -SET_BACK_MS)) this.forget("idle");
  }

  /** Makes sure that this tab is the only one of its name. */
  async #claim() {
    const storage = this.#storage;
    if (!storage) return;
    const name = storage.getItem(TAB);
    if (name && (await holds(name))) return;
    this.forget("copy");
    const own = crypto.randomUUID();
    storage.setItem(TAB, own);
    await holds(own);
  }
}

/** @returns {Storage | null} */
function storageOfThisTab() {
  try {
    return "locks" in navigator ? sessionStorage : null;
  } catch {
    // Storage is forbidden here.
    return null;
  }
}

/**
 * Holds a name for as long as this page lives; whether it could.
 * @param {string} name
 * @returns {Promise<boolean>}
 */
function holds(name) {
  return new Promise((resolve) => {
    const forEver = () => {
      resolve(true);
      return new Promise(() => {});
    };
    const signal = AbortSignal.timeout(REFRESH_MS);
    navigator.locks.request(`nemo.playground.${name}`, { signal }, forEver).catch(() => resolve(false));
  });
}

/**
 * What is wrong with what should be a virtual key; nothing if it is one.
 * @param {string} key
 */
function whyNot(key) {
  if (key === "") return "Paste a virtual key first.";
  if (/mk-nemo-/i.test(key)) {
    return "That is the master key. It must never be typed into a browser. Nothing was kept; if you pasted it elsewhere too, replace it.";
  }
  if (!key.startsWith("sk-nemo-")) {
    return "That is no virtual key of Nemo: they begin with sk-nemo-. Nothing was kept, and nothing was sent.";
  }
  if (!/^sk-nemo-1[0-9A-Za-z]{53}$/.test(key)) {
    return `A virtual key has 62 letters and digits, and this has ${key.length}: it is not whole, or something stuck to it.`;
  }
  return "";
}

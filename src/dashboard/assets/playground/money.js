// Money for people, as the dashboard shows it. Amounts come as decimal strings of dollars and are counted in whole
// nano-dollars: no floating point.

const DECIMALS = 9;

/**
 * @param {unknown} text such as `"0.0000925"`
 * @returns {bigint | null} nano-dollars
 */
export function nanos(text) {
  const [, sign, dollars, decimals = ""] = (typeof text === "string" && /^(-?)(\d+)(?:\.(\d{1,9}))?$/.exec(text)) || [];
  if (dollars === undefined) return null;
  const amount = BigInt(dollars + decimals.padEnd(DECIMALS, "0"));
  return sign ? -amount : amount;
}

/**
 * To the last digit.
 * @param {bigint} amount nano-dollars
 */
export function exact(amount) {
  return rounded(amount, DECIMALS).replace(/(\.\d\d\d*?)0+$/, "$1");
}

/**
 * A sum or a budget: cents, and four decimals below ten cents. Only zero looks like zero.
 * @param {bigint} amount nano-dollars
 */
export function total(amount) {
  const size = amount < 0n ? -amount : amount;
  if (size === 0n) return "$0.00";
  if (size < 50_000n) return `${amount < 0n ? "-" : ""}<$0.0001`;
  return rounded(amount, size < 100_000_000n ? 4 : 2);
}

/**
 * What is left: as a sum, and never more than there is.
 * @param {bigint} amount nano-dollars, not below zero
 */
export function left(amount) {
  const step = amount < 100_000_000n ? 100_000n : 10_000_000n;
  return total(amount < step ? amount : amount - (amount % step));
}

/**
 * What one call cost: four significant digits, and never fewer than cents.
 * @param {bigint} amount nano-dollars
 */
export function oneCall(amount) {
  const digits = String(amount < 0n ? -amount : amount).length;
  return amount === 0n ? "$0.00" : rounded(amount, Math.min(DECIMALS, Math.max(2, DECIMALS + 4 - digits)));
}

/**
 * @param {bigint} amount
 * @param {number} decimals
 */
function rounded(amount, decimals) {
  const step = 10n ** BigInt(DECIMALS - decimals);
  const steps = String(((amount < 0n ? -amount : amount) + step / 2n) / step).padStart(decimals + 1, "0");
  const dollars = steps.slice(0, -decimals).replace(/\B(?=(\d{3})+$)/g, ",");
  return `${amount < 0n ? "-" : ""}$${dollars}.${steps.slice(-decimals)}`;
}

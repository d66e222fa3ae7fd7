// Words and figures as the tree writes them. Pure functions.

// Control characters are not allowed in XML, bidirectional overrides turn a name around, lone surrogates can't be
// encoded: each becomes U+FFFD, so that a hostile name is seen as such and breaks neither picture nor export.
// eslint-disable-next-line no-control-regex
const BROKEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff\ufff9-\uffff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/** Text that may be drawn: one line, without control characters. */
export function clean(text) {
  return String(text ?? "").replace(BROKEN, "\ufffd").replace(/\s+/g, " ");
}

/** At most `max` characters: what is too long loses its middle, for both ends of a repo id tell something. */
export function shorten(text, max) {
  const characters = Array.from(text);
  if (characters.length <= max) return text;
  const tail = Math.floor((max - 1) / 2);
  return `${characters.slice(0, max - 1 - tail).join("")}…${tail ? characters.slice(-tail).join("") : ""}`;
}

const EXACT = new Intl.NumberFormat("en-GB");
const ROUND = new Intl.NumberFormat("en-GB", { maximumSignificantDigits: 2 });

/** A count, exact: 1,204. */
export function exact(number) {
  return EXACT.format(number);
}

/** A count as a person says it: 1,204, 58 k, 1.2 M. */
export function rounded(number) {
  if (number < 10_000) return EXACT.format(number);
  if (number < 999_500) return `${EXACT.format(Math.round(number / 1000))} k`;
  return `${ROUND.format(number / 1e6)} M`;
}

/** A number of parameters: 135 M, 8 B, 1.5 B; "" where it is not known. */
export function parameters(number) {
  if (number === null || number === undefined) return "";
  if (number >= 1e9) return `${number >= 1e10 ? EXACT.format(Math.round(number / 1e9)) : ROUND.format(number / 1e9)} B`;
  if (number >= 1e6) return `${EXACT.format(Math.round(number / 1e6))} M`;
  if (number >= 1e3) return `${EXACT.format(Math.round(number / 1e3))} k`;
  return EXACT.format(number);
}

const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });
const MONTH = new Intl.DateTimeFormat("en-GB", { month: "short", year: "numeric", timeZone: "UTC" });

/** A day: 3 Mar 2024; "" where it is not known. `time` is in milliseconds since 1970 (UTC). */
export function day(time) {
  return time === null || time === undefined ? "" : DAY.format(time);
}

/** A month: Mar 2024. */
export function month(time) {
  return MONTH.format(time);
}

/** "1 model", "3 models". */
export function plural(number, one, many) {
  return `${exact(number)} ${number === 1 ? one : many}`;
}

/** Where a group's models come from: "from one author", "most from 3 authors", "" where too little is known. */
export function authorship(authors, sampled) {
  if (!authors || !authors.length || !sampled) return "";
  let covered = 0;
  let needed = 0;
  for (const [, number] of authors) {
    covered += number;
    needed += 1;
    if (covered * 2 > sampled) break;
  }
  if (covered * 2 <= sampled) return "";
  if (needed === 1) return covered === sampled ? `all from ${clean(authors[0][0])}` : `most from ${clean(authors[0][0])}`;
  return needed <= 5 ? `most from ${needed} authors` : "";
}

// The five relations: letter in addresses and data, word, shape. One shape each, the same everywhere.

/** In the order in which groups are drawn. `word` follows a count ("1,204 quantized"). */
export const RELATIONS = [
  { code: 1, letter: "f", name: "finetune", word: "fine-tunes", one: "fine-tune" },
  { code: 2, letter: "a", name: "adapter", word: "adapters", one: "adapter" },
  { code: 3, letter: "q", name: "quantized", word: "quantized", one: "quantized" },
  { code: 4, letter: "m", name: "merge", word: "merges", one: "merge" },
  { code: 5, letter: "u", name: "unknown", word: "relation not said", one: "relation not said" },
];

const BY_CODE = new Map(RELATIONS.map((relation) => [relation.code, relation]));
const BY_LETTER = new Map(RELATIONS.map((relation) => [relation.letter, relation]));
const BY_NAME = new Map(RELATIONS.map((relation) => [relation.name, relation]));

export const byCode = (code) => BY_CODE.get(code) ?? BY_CODE.get(5);
export const byLetter = (letter) => BY_LETTER.get(letter);
export const byName = (name) => BY_NAME.get(name);

/** How much is known of an edge. */
export const STATUS = ["declared", "confirmed", "recovered", "contradicted"];

/** What the legend says of each. */
export const STATUS_WORDS = {
  confirmed: "confirmed by weights",
  declared: "declared only",
  recovered: "recovered from weights",
  contradicted: "contradicted",
};

/** Who says so: bit 1 << source of an edge's mask. The order is that of trust. */
const SOURCES = [
  [1, "weights"],
  [2, "the Hub"],
  [3, "adapter config"],
  [4, "mergekit config"],
  [5, "card"],
  [6, "tag"],
];

/** "card, tag" for a mask of sources. */
export function sources(mask) {
  return SOURCES.filter(([bit]) => mask & (1 << bit)).map(([, word]) => word).join(", ");
}

// The shapes of templates/partials/sprite.html, in the same 12 × 12 box, as plain paths: a picture that is saved must
// not refer to the page that it came from.
const SHAPES = {
  finetune: "M6,1.25A4.75,4.75 0 1 1 6,10.75A4.75,4.75 0 1 1 6,1.25Z",
  adapter: "M6,.5 11.5,6 6,11.5 .5,6Z",
  quantized: "M1.5,1.5h9v9h-9Z",
  merge: "M6,1l5.5,9.8H.5Z",
  unknown: "M6,1a5,5 0 1 1 0,10A5,5 0 0 1 6,1ZM6,2.800a3.2,3.2 0 1 0 0,6.4 3.2,3.2 0 0 0 0,-6.4Z",
  root: "M6,.3l1.6,3.9 4.2,.3 -3.2,2.700 1,4.100L6,9.1l-3.600,2.200 1,-4.1L.2,4.500l4.2,-.3Z",
};

/** Path data of a shape in a box of 12 × 12. */
export function outline(shape) {
  return SHAPES[shape] ?? SHAPES.unknown;
}

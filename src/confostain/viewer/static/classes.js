// Classes of annotations, each a name and a colour, as QuPath has them: its own first ones, those of the slide's
// annotations, and those that were added on this browser.

const KEY = "confostain-classes";
const FIRST = [ // names and colours of QuPath
  { name: "Tumor", color: [200, 0, 0] },
  { name: "Stroma", color: [150, 200, 150] },
  { name: "Immune cells", color: [160, 90, 160] },
  { name: "Necrosis", color: [50, 50, 50] },
  { name: "Other", color: [255, 200, 0] },
];
const MOST_LETTERS = 60;

let fallback = []; // classes that were added where the browser keeps nothing
let current = null;

function added() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY)) ?? [];
    return Array.isArray(kept) ? kept.filter((one) => typeof one?.name === "string" && isColour(one.color)) : [];
  } catch {
    return fallback;
  }
}

const isColour = (color) => Array.isArray(color) && color.length === 3 && color.every((value) => Number.isInteger(value) && value >= 0 && value <= 255);

/** The class of a feature: {name, color}, color null where the file says none; null without class. */
export function classOf(feature) {
  const { name, names, color } = feature.properties?.classification ?? {};
  const said = name || names?.join(": ");
  return said ? { name: said, color: color ?? null } : null;
}

/** All classes that may be chosen while these features are on the slide, each name once. */
export function knownClasses(features) {
  const used = features.map(classOf).filter((one) => one?.color);
  const all = [...used, ...added(), ...FIRST];
  const byName = new Map(all.toReversed().map((one) => [one.name, one]));
  const order = [...FIRST, ...added(), ...used].map(({ name }) => name);
  return [...new Set(order)].map((name) => byName.get(name));
}

/** Add a class; returns why not, "" if it was added. `colour` is "#rrggbb". */
export function addClass(name, colour, known) {
  const word = name.trim();
  if (!word) return "Enter a name for the class.";
  if (word.length > MOST_LETTERS) return `The name has ${word.length} letters; at most ${MOST_LETTERS} are possible.`;
  if (known.some((one) => one.name.toLowerCase() === word.toLowerCase())) return `There is a class ${word} already.`;
  const color = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  fallback = [...added(), { name: word, color }];
  try {
    localStorage.setItem(KEY, JSON.stringify(fallback));
  } catch {
    // it stays as long as the page
  }
  return "";
}

/** The class of new annotations; null: each has that of its tool. */
export const currentClass = () => current;
export const chooseClass = (one) => (current = one);

export function withClass(feature, one) {
  return { ...feature, properties: { ...feature.properties, classification: { name: one.name, color: one.color } } };
}

/** A new feature in the class that was chosen for new ones. */
export const classified = (feature) => (current ? withClass(feature, current) : feature);

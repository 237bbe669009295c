// The words of the page: one file to a language, the browser's choice unless another was made.

import english from "../../languages/en.json";

export type Word = keyof typeof english;
type Words = Readonly<Record<string, string>>;

const files = import.meta.glob<Words>("../../languages/*.json", { import: "default" });
const nameOf = (file: string): string => file.replace(/^.*\/|\.json$/g, "");
export const LANGUAGES = Object.keys(files).map(nameOf);

const CHOICE = "language";

function choice(): string | null {
  try {
    return localStorage.getItem(CHOICE);
  } catch {
    return null;
  }
}

/** The first language of the browser that there is a file for. */
function wanted(): string {
  const all = [choice() ?? "", ...navigator.languages].map((tag) => tag.toLowerCase().split("-")[0]);
  return all.find((tag) => LANGUAGES.includes(tag)) ?? "en";
}

class Tongue {
  name = $state("en");
  private words = $state.raw<Words>(english);

  async load(name = wanted()): Promise<void> {
    const file = Object.keys(files).find((file) => nameOf(file) === name);
    if (file !== undefined) this.words = await files[file]();
    this.name = name;
    document.documentElement.lang = name;
  }

  async choose(name: string): Promise<void> {
    try {
      localStorage.setItem(CHOICE, name);
    } catch {
      // Without storage the choice lasts until the page is left.
    }
    await this.load(name);
  }

  say(word: string, values: Readonly<Record<string, string | number | bigint>>): string {
    const text = this.words[word] ?? (english as Words)[word] ?? word;
    return text.replace(/\{(\w+)\}/g, (hole, name: string) => String(values[name] ?? hole));
  }
}

export const tongue = new Tongue();

/** A text of the page in the chosen language; `{name}` in it is filled. */
export function t(word: Word, values: Readonly<Record<string, string | number | bigint>> = {}): string {
  return tongue.say(word, values);
}

/** The same for names that come from a node; an unknown one is shown as it came. */
export function named(prefix: string, name: string): string {
  const word = `${prefix}.${name}`;
  return word in english ? tongue.say(word, {}) : name.replaceAll("_", " ");
}

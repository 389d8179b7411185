import { Store, useStore } from '../util/store';
import { en, type Messages } from './en';
import { fr } from './fr';
import { ja } from './ja';

const dictionaries = { en, ja, fr } satisfies Record<string, Messages>;

export type Locale = keyof typeof dictionaries;

/** The languages a shopper may ask for; the pages themselves speak those with a dictionary. */
export const callLanguages = ['en', 'ja', 'fr', 'de', 'es', 'it', 'ko', 'zh'] as const;

const current = new Store<{ locale: Locale }>({ locale: pickLocale(navigatorLanguages()) });
applyToDocument();

/** The first preferred language that has a dictionary; English otherwise. */
export function pickLocale(preferred: readonly string[]): Locale {
  for (const tag of preferred) {
    const language = primaryLanguage(tag);
    if (language in dictionaries) return language as Locale;
  }
  return 'en';
}

/** The first preferred language that a shopper may ask for. */
export function pickCallLanguage(preferred: readonly string[]): string {
  const known: readonly string[] = callLanguages;
  return preferred.map(primaryLanguage).find((language) => known.includes(language)) ?? 'en';
}

/** Shows the pages in a language, if there is a dictionary for it. */
export function setLocale(language: string): void {
  if (!(language in dictionaries)) return;
  current.set({ locale: language as Locale });
  applyToDocument();
}

export function useMessages(): Messages {
  return dictionaries[useStore(current).locale];
}

export function useLocale(): Locale {
  return useStore(current).locale;
}

/** Puts values into the {places} of a message. */
export function fill(message: string, values: Record<string, string | number>): string {
  return message.replace(/\{(\w+)\}/g, (place, name: string) => String(values[name] ?? place));
}

/** The name of a language: in its own words, or in those of the given locale. */
export function languageName(language: string, locale: string = language): string {
  try {
    return new Intl.DisplayNames([locale], { type: 'language' }).of(language) ?? language;
  } catch {
    return language;
  }
}

export function navigatorLanguages(): readonly string[] {
  return globalThis.navigator?.languages ?? [];
}

function primaryLanguage(tag: string): string {
  return tag.toLowerCase().split('-')[0] ?? '';
}

function applyToDocument(): void {
  if (typeof document !== 'undefined') document.documentElement.lang = current.get().locale;
}

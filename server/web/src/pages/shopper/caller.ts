import { type CallGrant, createCall } from '../../api/calls';
import { navigatorLanguages, pickCallLanguage } from '../../i18n/locale';
import { Saved } from '../../util/saved';

export interface Caller {
  name: string;
  language: string;
}

const saved = new Saved<Caller>('tradewind.caller');

export function loadCaller(): Caller {
  return saved.load() ?? { name: '', language: pickCallLanguage(navigatorLanguages()) };
}

/** Asks for a call in the name of the caller, and remembers both for the next one. */
export function callAs(caller: Caller): () => Promise<CallGrant> {
  saved.save(caller);
  const name = caller.name.trim();
  return () => createCall({ ...(name && { name }), language: caller.language });
}

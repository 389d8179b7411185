import { type CallGrant, createCall } from '../../api/calls';
import { EdgeProbes } from '../../api/edges';
import { navigatorLanguages, pickCallLanguage } from '../../i18n/locale';
import { Saved } from '../../util/saved';

export interface Caller {
  name: string;
  language: string;
}

/** How far the nodes are from here; measured while the caller gets ready. */
export const edges = new EdgeProbes();

const saved = new Saved<Caller>('tradewind.caller');

export function loadCaller(): Caller {
  return saved.load() ?? { name: '', language: pickCallLanguage(navigatorLanguages()) };
}

/** Asks for a call in the name of the caller, and remembers both for the next one. */
export function callAs(caller: Caller): () => Promise<CallGrant> {
  saved.save(caller);
  const name = caller.name.trim();
  return async () =>
    createCall({ ...(name && { name }), language: caller.language, probes: await edges.get() });
}

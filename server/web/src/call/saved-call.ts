import type { CallGrant } from '../api/calls';
import { Saved } from '../util/saved';
import type { Role } from './state';

/** A call in progress, kept so that a reload of the page rejoins it. */
export interface SavedCall {
  grant: CallGrant;
  connectedAt: number | null;
}

export function savedCall(role: Role): Saved<SavedCall> {
  return new Saved<SavedCall>(`tradewind.call.${role}`);
}

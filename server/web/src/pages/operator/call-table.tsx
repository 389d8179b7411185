import type { Overview } from '../../api/overview';
import { formatDuration } from '../../util/duration';
import { difference, milliseconds, partyName } from './legs';
import { texts } from './texts';

interface CallTableProps {
  overview: Overview;
  /** Id of the call that map and details show. */
  chosen: string;
  choose: (id: string) => void;
}

/** All calls under way, a row each. */
export function CallTable({ overview, chosen, choose }: CallTableProps) {
  return (
    <div class="table-frame">
      <table data-testid="calls">
        <thead>
          <tr>
            <th scope="col">Call</th>
            <th scope="col">State</th>
            <th scope="col" class="roomy">
              Nodes
            </th>
            <th scope="col" class="number">
              Predicted
            </th>
            <th scope="col" class="number">
              Measured
            </th>
          </tr>
        </thead>
        <tbody>
          {overview.calls.map((call) => (
            <tr key={call.id} data-testid="call-row" data-call={call.id} data-state={call.state}>
              <th scope="row">
                <button
                  type="button"
                  class="row-button"
                  aria-pressed={call.id === chosen}
                  title={call.id}
                  onClick={() => choose(call.id)}
                >
                  {call.parties
                    .filter((party) => party.state !== 'left')
                    .map(partyName)
                    .join(' – ') || call.id}
                </button>
              </th>
              <td>
                {texts.state[call.state]}{' '}
                <time class="muted">{formatDuration(overview.now_ms - call.created_at_ms)}</time>
              </td>
              <td class="roomy">{call.placement?.nodes.join(' – ') ?? '–'}</td>
              <td class="number">{milliseconds(call.placement?.predicted_ms ?? null)}</td>
              <td class="number">
                {milliseconds(call.placement?.measured_ms ?? null)}{' '}
                <span class="muted">
                  {difference(
                    call.placement?.predicted_ms ?? null,
                    call.placement?.measured_ms ?? null,
                  )}
                </span>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

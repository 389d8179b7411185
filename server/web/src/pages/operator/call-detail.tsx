import type { Call, Overview } from '../../api/overview';
import { difference, legs, milliseconds } from './legs';

/** The delay of each leg of one call. */
export function CallDetail({ overview, call }: { overview: Overview; call: Call }) {
  const facts = [call.language, call.scenario, call.tenant].filter((fact) => fact !== '');
  const standby = call.placement?.standby ?? [];
  return (
    <div class="call-detail" data-testid="call-detail">
      <h3>
        Round trips of <code>{call.id}</code>
      </h3>
      {facts.length > 0 && <p class="muted">{facts.join(' · ')}</p>}
      <div class="table-frame">
        <table data-testid="legs">
          <thead>
            <tr>
              <th scope="col">From</th>
              <th scope="col">To</th>
              <th scope="col" class="number">
                Predicted
              </th>
              <th scope="col" class="number">
                Measured
              </th>
            </tr>
          </thead>
          <tbody>
            {legs(overview, call).map((leg) => (
              <tr key={leg.key} data-testid="leg">
                <th scope="row">{leg.from}</th>
                <td>{leg.to}</td>
                <td class="number">{milliseconds(leg.predicted)}</td>
                <td class="number">
                  {milliseconds(leg.measured)}{' '}
                  <span class="muted">{difference(leg.predicted, leg.measured)}</span>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <p class="muted">
        {standby.length > 0 && `Stands by: ${standby.join(', ')}. `}
        Why it is there: <code>tradewind why {call.id}</code>
      </p>
    </div>
  );
}

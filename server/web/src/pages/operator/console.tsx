import { useState } from 'preact/hooks';
import type { Overview } from '../../api/overview';
import { CallDetail } from './call-detail';
import { CallTable } from './call-table';
import { NodeTable } from './node-table';
import { texts } from './texts';
import { WorldMap } from './world-map';

/** Map and tables; whatever the map shows is in the tables too. */
export function Console({ overview }: { overview: Overview }) {
  const [chosen, setChosen] = useState<string | null>(null);
  const call = overview.calls.find((one) => one.id === chosen) ?? overview.calls[0] ?? null;
  return (
    <main class="console">
      <WorldMap overview={overview} chosen={call} />
      <section class="console-calls" aria-labelledby="calls-heading">
        <h2 id="calls-heading">
          {texts.calls} <span class="console-count">{overview.calls.length}</span>
        </h2>
        {call === null ? (
          <p class="console-empty">
            <strong>{texts.noCalls}</strong> {texts.noCallsHint}
          </p>
        ) : (
          <>
            <CallTable overview={overview} chosen={call.id} choose={setChosen} />
            <CallDetail overview={overview} call={call} />
          </>
        )}
      </section>
      <section aria-labelledby="nodes-heading">
        <h2 id="nodes-heading">
          {texts.nodes} <span class="console-count">{overview.nodes.length}</span>
        </h2>
        <NodeTable nodes={overview.nodes} self={overview.node} />
      </section>
    </main>
  );
}

import type { FleetNode } from '../../api/overview';

/** Every node of the fleet, a row each. */
export function NodeTable({ nodes, self }: { nodes: FleetNode[]; self: string }) {
  return (
    <div class="table-frame">
      <table data-testid="nodes">
        <thead>
          <tr>
            <th scope="col">Node</th>
            <th scope="col">Region</th>
            <th scope="col">State</th>
            <th scope="col" class="number">
              Load
            </th>
          </tr>
        </thead>
        <tbody>
          {nodes.map((node) => (
            <tr key={node.id} data-testid="node-row">
              <th scope="row">
                {node.id} {node.id === self && <span class="muted">this node</span>}
              </th>
              <td>{node.region || '–'}</td>
              <td>
                <span class={`node-state node-${nodeState(node)}`}>{nodeState(node)}</span>
              </td>
              <td class="number">
                {node.parties} <span class="muted">of {node.capacity}</span>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

export function nodeState(node: FleetNode): 'up' | 'draining' | 'down' {
  if (!node.healthy) return 'down';
  return node.draining ? 'draining' : 'up';
}

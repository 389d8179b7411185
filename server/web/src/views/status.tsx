import type { ComponentChildren } from 'preact';
import type { CallPhase } from '../call/state';

interface StatusProps {
  phase: CallPhase;
  error?: string | undefined;
  class?: string;
  children: ComponentChildren;
}

/** The phase of the call as text, announced to screen readers as it changes. */
export function Status({ phase, error, class: className = '', children }: StatusProps) {
  return (
    <div
      class={`status ${className}`}
      data-testid="status"
      data-phase={phase}
      data-error={error}
      role={phase === 'error' ? 'alert' : 'status'}
      aria-live={phase === 'error' ? 'assertive' : 'polite'}
    >
      {children}
    </div>
  );
}

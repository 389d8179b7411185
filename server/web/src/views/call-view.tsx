import type { CallSession } from '../call/call-session';
import { CallControls } from './call-controls';
import { CallHeader } from './call-header';
import { ChatPanel } from './chat-panel';
import { Stage } from './stage';

/** A running call, the same for shopper and agent. */
export function CallView({ session }: { session: CallSession }) {
  return (
    <main class="call-view">
      <div class="call-main">
        <CallHeader session={session} />
        <Stage session={session} />
        <CallControls session={session} />
      </div>
      <ChatPanel session={session} />
    </main>
  );
}

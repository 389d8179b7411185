import type { CallSession } from '../call/call-session';
import { useMessages } from '../i18n/locale';
import { CallControls } from './call-controls';
import { CallHeader } from './call-header';
import { ChatPanel } from './chat-panel';
import { Stage } from './stage';

/** A running call, the same for shopper and agent. */
export function CallView({ session }: { session: CallSession }) {
  const t = useMessages();
  return (
    <main class="call-view">
      <h1 class="visually-hidden">{t.callTitle}</h1>
      <div class="call-main">
        <CallHeader session={session} />
        <Stage session={session} />
        <CallControls session={session} />
      </div>
      <ChatPanel session={session} />
    </main>
  );
}

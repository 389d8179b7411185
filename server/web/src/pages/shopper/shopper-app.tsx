import { useEffect } from 'preact/hooks';
import { CallSession } from '../../call/call-session';
import { isInCall } from '../../call/state';
import { useMessages } from '../../i18n/locale';
import { LocalMedia } from '../../media/local-media';
import { useStore } from '../../util/store';
import { Brand } from '../../views/brand';
import { CallView } from '../../views/call-view';
import { AfterCall } from './after-call';
import { CallForm } from './call-form';

const session = new CallSession('shopper', new LocalMedia());
void session.resume();

export function ShopperApp() {
  const t = useMessages();
  const { phase } = useStore(session);
  const inCall = isInCall(phase);
  useEffect(() => {
    document.title = `${t.callTitle} · Tradewind`;
  }, [t]);
  return (
    <div class={`page ${inCall ? 'page-call' : ''}`}>
      <header class="page-header">
        <Brand />
      </header>
      {phase === 'idle' && <CallForm session={session} />}
      {inCall && <CallView session={session} />}
      {(phase === 'ended' || phase === 'error') && <AfterCall session={session} />}
    </div>
  );
}

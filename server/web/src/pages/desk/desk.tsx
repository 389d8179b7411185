import { useEffect, useMemo } from 'preact/hooks';
import { CallFeed } from '../../api/call-feed';
import { answerCall, type CallSummary } from '../../api/calls';
import { EdgeProbes } from '../../api/edges';
import { CallSession } from '../../call/call-session';
import { isInCall } from '../../call/state';
import { useMessages } from '../../i18n/locale';
import { LocalMedia } from '../../media/local-media';
import { useStore } from '../../util/store';
import { Brand } from '../../views/brand';
import { CallView } from '../../views/call-view';
import type { Chime } from './chime';
import { DeskReady } from './desk-ready';
import type { Agent } from './sign-in';
import { useArrivals } from './use-arrivals';
import { WaitingList } from './waiting-list';

/** How far the nodes are from here; measured while the agent waits. */
const edges = new EdgeProbes();
const session = new CallSession('agent', new LocalMedia());

interface DeskProps {
  agent: Agent;
  chime: Chime;
  /** Ends the shift; with the server's words if it refused the access key. */
  goOffline: (refusal: string | null) => void;
}

/** The desk of an agent who is online: who is waiting, and the call at hand. */
export function Desk({ agent, chime, goOffline }: DeskProps) {
  const t = useMessages();
  const feed = useMemo(() => new CallFeed(agent.key), [agent]);
  const { link, detail, calls } = useStore(feed);
  const { phase } = useStore(session);
  const waiting = useMemo(() => calls.filter((call) => call.state === 'waiting'), [calls]);
  const announcement = useArrivals(waiting, chime);
  const inCall = isInCall(phase);

  useEffect(() => {
    void session.resume();
    void session.media.start();
    void edges.get();
    return () => session.media.release();
  }, []);
  useEffect(() => () => feed.close(), [feed]);
  useEffect(() => {
    if (link === 'refused') goOffline(detail);
  }, [link, detail]);

  const answer = (call: CallSummary) =>
    void session.start(async () =>
      answerCall(call.id, { name: agent.name, probes: await edges.get() }, agent.key),
    );
  const leave = async () => {
    if (inCall) await session.hangUp();
    session.reset();
    goOffline(null);
  };

  return (
    <div class="page page-desk">
      <header class="page-header">
        <Brand />
        <span class="page-name">{t.deskTitle}</span>
        <span class={`link link-${link}`} data-testid="link" data-link={link} role="status">
          {link === 'live' ? t.deskLive : link === 'away' ? t.deskAway : t.deskConnecting}
        </span>
        <span class="agent-name">{agent.name}</span>
        <button type="button" class="quiet" data-testid="go-offline" onClick={() => void leave()}>
          {t.goOffline}
        </button>
      </header>
      <p class="visually-hidden" role="status" aria-live="assertive">
        {announcement}
      </p>
      <div class={`desk ${inCall ? 'desk-call' : ''}`}>
        <WaitingList
          calls={calls}
          stale={link === 'away'}
          canAnswer={!inCall && link === 'live'}
          answer={answer}
        />
        {inCall ? <CallView session={session} /> : <DeskReady session={session} />}
      </div>
    </div>
  );
}

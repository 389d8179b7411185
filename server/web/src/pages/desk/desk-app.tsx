import { useEffect, useState } from 'preact/hooks';
import { useMessages } from '../../i18n/locale';
import { Saved } from '../../util/saved';
import { Brand } from '../../views/brand';
import { Chime } from './chime';
import { Desk } from './desk';
import { type Agent, SignIn } from './sign-in';

const saved = new Saved<Agent>('tradewind.agent');
const chime = new Chime();

export function DeskApp() {
  const t = useMessages();
  const [agent, setAgent] = useState(() => saved.load());
  const [refused, setRefused] = useState<string | null>(null);
  const [lastName, setLastName] = useState('');
  useEffect(() => {
    document.title = `${t.deskTitle} · Tradewind`;
  }, [t]);
  const goOnline = (next: Agent) => {
    chime.enable();
    saved.save(next);
    setRefused(null);
    setAgent(next);
  };
  const goOffline = (refusal: string | null) => {
    setLastName(agent?.name ?? '');
    saved.clear();
    setRefused(refusal);
    setAgent(null);
  };
  if (agent !== null) return <Desk agent={agent} chime={chime} goOffline={goOffline} />;
  return (
    <div class="page">
      <header class="page-header">
        <Brand />
        <span class="page-name">{t.deskTitle}</span>
      </header>
      <SignIn name={lastName} refused={refused} goOnline={goOnline} />
    </div>
  );
}

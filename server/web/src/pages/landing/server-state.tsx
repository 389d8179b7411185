import { useEffect, useState } from 'preact/hooks';
import { useMessages } from '../../i18n/locale';
import { HEALTH_PATH } from './server';

const INTERVAL_MS = 5_000;

/** Whether the server answers, asked again and again. */
export function ServerState() {
  const t = useMessages();
  const [up, setUp] = useState<boolean | null>(null);
  useEffect(() => {
    const ask = () =>
      fetch(HEALTH_PATH, { cache: 'no-store' }).then(
        (response) => setUp(response.ok),
        () => setUp(false),
      );
    void ask();
    const timer = setInterval(ask, INTERVAL_MS);
    return () => clearInterval(timer);
  }, []);
  const link = up === null ? 'connecting' : up ? 'live' : 'away';
  return (
    <span class={`link link-${link}`} role="status">
      {up === null ? t.serverChecking : up ? t.serverUp : t.serverDown}
    </span>
  );
}

import { useEffect, useMemo, useState } from 'preact/hooks';
import { OverviewFeed } from '../../api/overview-feed';
import { Saved } from '../../util/saved';
import { useStore } from '../../util/store';
import { Brand } from '../../views/brand';
import { Console } from './console';
import { SignIn } from './sign-in';
import { texts } from './texts';

const saved = new Saved<string>('tradewind.operator');

/** Live calls for the operator of a fleet. */
export function OperatorApp() {
  const [token, setToken] = useState(() => saved.load() ?? '');
  const feed = useMemo(() => new OverviewFeed(token), [token]);
  const { link, detail, overview } = useStore(feed);
  useEffect(() => () => feed.close(), [feed]);
  useEffect(() => {
    document.title = `${texts.title} · Tradewind`;
  }, []);
  const signIn = (next: string) => {
    saved.save(next);
    setToken(next);
  };
  return (
    <div class="page page-operator">
      <header class="page-header">
        <Brand />
        <span class="page-name">{texts.title}</span>
        <span class={`link link-${link}`} data-testid="link" data-link={link} role="status">
          {texts.link[link]}
        </span>
      </header>
      {link === 'refused' ? (
        <SignIn refused={token === '' ? '' : detail} signIn={signIn} />
      ) : (
        overview !== null && <Console overview={overview} />
      )}
    </div>
  );
}

import { useEffect } from 'preact/hooks';
import { useMessages } from '../../i18n/locale';
import { Brand } from '../../views/brand';
import { Connect } from './connect';
import { Door } from './door';
import { HeroArt } from './hero-art';
import { Operate } from './operate';
import { ServerState } from './server-state';

/** The first page of an operator who has just started the server. */
export function LandingApp() {
  const t = useMessages();
  useEffect(() => {
    document.title = t.landingTitle;
  }, [t]);
  return (
    <div class="landing">
      <header class="page-header">
        <Brand />
        <ServerState />
      </header>
      <main>
        <section class="hero">
          <div class="hero-text">
            <h1>{t.landingHeading}</h1>
            <p class="lead">{t.landingIntro}</p>
            <p class="hero-try">{t.landingTry}</p>
            <div class="doors">
              <Door href="/call" title={t.shopperPage} text={t.shopperPageText} main />
              <Door href="/desk" title={t.deskTitle} text={t.deskPageText} />
            </div>
          </div>
          <HeroArt />
        </section>
        <Connect />
        <Operate />
      </main>
    </div>
  );
}

import { useMessages } from '../../i18n/locale';
import { HEALTH_PATH, METRICS_PATH } from './server';

/** Where an operator watches this node. */
export function Operate() {
  const t = useMessages();
  return (
    <section class="operate" aria-labelledby="operate-heading">
      <h2 id="operate-heading">{t.operateHeading}</h2>
      <div class="operate-links">
        <a href="/operator">
          <code>/operator</code>
          <span>{t.operatorText}</span>
        </a>
        <a href={HEALTH_PATH}>
          <code>GET {HEALTH_PATH}</code>
          <span>{t.healthText}</span>
        </a>
        <a href={METRICS_PATH}>
          <code>GET {METRICS_PATH}</code>
          <span>{t.metricsText}</span>
        </a>
      </div>
    </section>
  );
}

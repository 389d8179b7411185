import { useState } from 'preact/hooks';
import { useMessages } from '../../i18n/locale';
import { CopyButton } from './copy-button';
import { serverUrl } from './server';
import { snippets } from './snippets';

/** What an SDK needs to connect, and programs to start from. */
export function Connect() {
  const t = useMessages();
  const url = serverUrl(location);
  const all = snippets(url);
  const [chosen, setChosen] = useState(0);
  const snippet = all[chosen];
  return (
    <section class="connect" aria-labelledby="connect-heading">
      <div class="connect-facts">
        <h2 id="connect-heading">{t.connectHeading}</h2>
        <p>{t.connectText}</p>
        <dl class="facts">
          <Fact name={t.serverUrl} value={url} />
          <Fact name={t.apiKey} value="devkey" />
          <Fact name={t.apiSecret} value="secret" />
        </dl>
        <p class="fine">{t.devKeysNote}</p>
      </div>
      <div class="snippet">
        <div class="snippet-bar">
          {all.map(({ name }, index) => (
            <button
              key={name}
              type="button"
              class="tab"
              aria-pressed={index === chosen}
              onClick={() => setChosen(index)}
            >
              {name}
            </button>
          ))}
          {snippet && <CopyButton text={snippet.code} name={snippet.name} />}
        </div>
        {snippet && (
          // biome-ignore lint/a11y/noNoninteractiveTabindex: a box that scrolls must be reachable by keyboard
          <pre tabIndex={0}>
            <span class="snippet-install">$ {snippet.install}</span>
            {'\n\n'}
            {snippet.code}
          </pre>
        )}
      </div>
    </section>
  );
}

function Fact({ name, value }: { name: string; value: string }) {
  return (
    <div class="fact">
      <dt>{name}</dt>
      <dd>
        <code>{value}</code>
        <CopyButton text={value} name={name} />
      </dd>
    </div>
  );
}

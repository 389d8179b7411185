import { useEffect, useState } from 'preact/hooks';
import type { CallSession } from '../../call/call-session';
import { callLanguages, languageName, setLocale, useMessages } from '../../i18n/locale';
import { useStore } from '../../util/store';
import { DeviceProblems } from '../../views/device-problems';
import { DeviceSetup } from '../../views/device-setup';
import { Icon } from '../../views/icon';
import { Status } from '../../views/status';
import { callAs, edges, loadCaller } from './caller';

/** Where a shopper gets ready and calls. */
export function CallForm({ session }: { session: CallSession }) {
  const t = useMessages();
  const [caller, setCaller] = useState(loadCaller);
  const { problems, starting } = useStore(session.media);
  useEffect(() => {
    void session.media.start();
    void edges.get();
  }, [session]);
  const chooseLanguage = (language: string) => {
    setCaller({ ...caller, language });
    setLocale(language);
  };
  const call = (event: Event) => {
    event.preventDefault();
    void session.start(callAs(caller));
  };
  return (
    <main class="call-form">
      <DeviceSetup media={session.media} />
      <form class="call-panel" onSubmit={call}>
        <h1>{t.callHeading}</h1>
        <p class="lead">{t.callIntro}</p>
        <Status
          phase={problems.length > 0 ? 'error' : 'idle'}
          error={problems[0]}
          class={problems.length > 0 ? '' : 'status-line'}
        >
          {problems.length > 0 ? (
            <DeviceProblems media={session.media} />
          ) : starting ? (
            t.startingDevices
          ) : (
            t.readyToCall
          )}
        </Status>
        <div class="call-fields">
          <label class="field">
            <span>
              {t.yourName} <small>({t.optional})</small>
            </span>
            <input
              type="text"
              data-testid="name"
              autocomplete="name"
              maxLength={80}
              value={caller.name}
              onInput={(event) => setCaller({ ...caller, name: event.currentTarget.value })}
            />
          </label>
          <label class="field">
            <span>{t.language}</span>
            <select
              data-testid="language"
              value={caller.language}
              onChange={(event) => chooseLanguage(event.currentTarget.value)}
            >
              {callLanguages.map((language) => (
                <option key={language} value={language} lang={language}>
                  {capitalise(languageName(language), language)}
                </option>
              ))}
            </select>
          </label>
        </div>
        <button type="submit" class="primary big" data-testid="call">
          <Icon name="phone" />
          {t.call}
        </button>
      </form>
    </main>
  );
}

/** Some languages write their names in lower case, which looks odd in a list of choices. */
function capitalise(word: string, language: string): string {
  return word.charAt(0).toLocaleUpperCase(language) + word.slice(1);
}

import { useState } from 'preact/hooks';
import { useMessages } from '../../i18n/locale';
import { Notice } from '../../views/notice';
import { Status } from '../../views/status';

export interface Agent {
  name: string;
  key: string;
}

interface SignInProps {
  name: string;
  /** The server's words when it did not accept the last key; null when it was not asked yet. */
  refused: string | null;
  goOnline: (agent: Agent) => void;
}

/** Where an agent starts a shift. */
export function SignIn({ name: lastName, refused, goOnline }: SignInProps) {
  const t = useMessages();
  const [name, setName] = useState(lastName);
  const [key, setKey] = useState('');
  const submit = (event: Event) => {
    event.preventDefault();
    if (name.trim() !== '') goOnline({ name: name.trim(), key: key.trim() });
  };
  return (
    <main class="sign-in">
      <form class="card" onSubmit={submit}>
        <h1>{t.signInHeading}</h1>
        <p class="lead">{t.signInIntro}</p>
        <Status
          phase={refused === null ? 'idle' : 'error'}
          error={refused === null ? undefined : 'unauthorized'}
        >
          {refused !== null && (
            <Notice kind="error" title={t.failUnauthorized} fix={t.failUnauthorizedFix}>
              {refused && <p class="notice-detail">{refused}</p>}
            </Notice>
          )}
        </Status>
        <label class="field">
          <span>{t.agentName}</span>
          <input
            type="text"
            data-testid="agent-name"
            autocomplete="name"
            maxLength={80}
            required
            value={name}
            onInput={(event) => setName(event.currentTarget.value)}
          />
        </label>
        <label class="field">
          <span>
            {t.accessKey} <small>({t.optional})</small>
          </span>
          <input
            type="password"
            data-testid="access-key"
            autocomplete="off"
            aria-describedby="access-key-hint"
            value={key}
            onInput={(event) => setKey(event.currentTarget.value)}
          />
          <small id="access-key-hint">{t.accessKeyHint}</small>
        </label>
        <button type="submit" class="primary" data-testid="go-online">
          {t.goOnline}
        </button>
      </form>
    </main>
  );
}

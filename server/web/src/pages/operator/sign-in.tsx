import { useState } from 'preact/hooks';
import { Notice } from '../../views/notice';
import { texts } from './texts';

interface SignInProps {
  /** The server's words when it did not accept the last token; empty when it was not asked yet. */
  refused: string;
  signIn: (token: string) => void;
}

/** Where an operator shows a token. */
export function SignIn({ refused, signIn }: SignInProps) {
  const [token, setToken] = useState('');
  const submit = (event: Event) => {
    event.preventDefault();
    if (token.trim() !== '') signIn(token.trim());
  };
  return (
    <main class="operator-sign-in">
      <form class="card" onSubmit={submit}>
        <h1>{texts.signIn}</h1>
        <p class="lead">{texts.signInIntro}</p>
        {refused !== '' && <Notice kind="error" title={texts.refused} fix={refused} />}
        <label class="field">
          <span>{texts.token}</span>
          <input
            type="password"
            data-testid="token"
            autocomplete="off"
            required
            aria-describedby="token-hint"
            value={token}
            onInput={(event) => setToken(event.currentTarget.value)}
          />
        </label>
        <p id="token-hint" class="operator-hint">
          {texts.tokenHint}
          <code>{texts.tokenCommand}</code>
        </p>
        <button type="submit" class="primary" data-testid="sign-in">
          {texts.signIn}
        </button>
      </form>
    </main>
  );
}

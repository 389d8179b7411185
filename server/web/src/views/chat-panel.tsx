import { useEffect, useRef, useState } from 'preact/hooks';
import type { CallSession } from '../call/call-session';
import { useMessages } from '../i18n/locale';
import { PHOTO_ACCEPT } from '../media/photo';
import { useStore } from '../util/store';
import { ChatEntry } from './chat-entry';
import { Icon } from './icon';
import { peerWord } from './texts';

/** Messages and photos beside the pictures of a call. */
export function ChatPanel({ session }: { session: CallSession }) {
  const t = useMessages();
  const { messages, rejectedFile } = useStore(session.chat);
  const { phase } = useStore(session);
  const [draft, setDraft] = useState('');
  const log = useRef<HTMLDivElement>(null);
  const open = phase === 'connected';

  useEffect(() => {
    log.current?.scrollTo({ top: log.current.scrollHeight });
  }, [messages]);

  const send = (event: Event) => {
    event.preventDefault();
    const text = draft.trim();
    if (text === '' || !open) return;
    setDraft('');
    void session.chat.sendText(text);
  };
  const sendPhoto = (input: HTMLInputElement) => {
    const file = input.files?.[0];
    input.value = '';
    if (file !== undefined) void session.chat.sendPhoto(file);
  };

  return (
    <section class="chat" aria-label={t.chat}>
      <h2 class="chat-heading">{t.chat}</h2>
      <div class="chat-log" data-testid="chat-log" role="log" ref={log} aria-live="polite">
        {messages.length === 0 && <p class="chat-empty">{open ? t.chatEmpty : t.chatLater}</p>}
        {messages.map((message) => (
          <ChatEntry key={message.key} message={message} peer={peerWord(t, session.role)} />
        ))}
      </div>
      {rejectedFile && (
        <p class="chat-rejected" role="alert">
          {t.photoRejected}
        </p>
      )}
      <form class="chat-form" onSubmit={send}>
        <label class={`round chat-photo-button ${open ? '' : 'disabled'}`} title={t.sendPhoto}>
          <Icon name="photo" />
          <span class="visually-hidden">{t.sendPhoto}</span>
          <input
            type="file"
            class="visually-hidden"
            data-testid="photo-input"
            accept={PHOTO_ACCEPT}
            disabled={!open}
            onChange={(event) => sendPhoto(event.currentTarget)}
          />
        </label>
        <input
          type="text"
          data-testid="chat-input"
          aria-label={t.chatPlaceholder}
          placeholder={t.chatPlaceholder}
          autocomplete="off"
          maxLength={2000}
          enterkeyhint="send"
          value={draft}
          disabled={!open}
          onInput={(event) => setDraft(event.currentTarget.value)}
        />
        <button
          type="submit"
          class="round chat-send"
          data-testid="chat-send"
          aria-label={t.send}
          disabled={!open || draft.trim() === ''}
        >
          <Icon name="send" />
        </button>
      </form>
    </section>
  );
}

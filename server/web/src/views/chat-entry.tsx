import type { ChatMessage } from '../call/chat';
import { fill, useLocale, useMessages } from '../i18n/locale';

/** One message of the chat: text or a photo. */
export function ChatEntry({ message, peer }: { message: ChatMessage; peer: string }) {
  const t = useMessages();
  const locale = useLocale();
  const { own, text, photoUrl, delivery, progress } = message;
  const sender = own ? t.you : message.sender || peer;
  const time = new Date(message.sentAt).toLocaleTimeString(locale, { timeStyle: 'short' });
  return (
    <article
      class={`chat-message ${own ? 'chat-own' : ''}`}
      data-testid="chat-message"
      data-own={own}
      data-delivery={delivery}
    >
      <header class="chat-meta">
        {sender} <time>{time}</time>
      </header>
      {photoUrl !== null && (
        <a href={photoUrl} target="_blank" rel="noreferrer">
          <img
            class="chat-photo"
            data-testid="chat-photo"
            src={photoUrl}
            alt={fill(t.photoFrom, { name: sender })}
          />
        </a>
      )}
      {text !== '' && <p class="chat-text">{text}</p>}
      {delivery === 'sending' && text === '' && (
        <p class="chat-progress">
          {own ? t.sending : t.receiving}
          <progress value={progress} max={1} aria-label={own ? t.sending : t.receiving} />
        </p>
      )}
      {delivery === 'failed' && <p class="chat-failed">{t.notDelivered}</p>}
    </article>
  );
}

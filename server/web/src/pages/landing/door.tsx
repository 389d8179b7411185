import { useMessages } from '../../i18n/locale';
import { Icon } from '../../views/icon';

interface DoorProps {
  href: string;
  title: string;
  text: string;
  main?: boolean;
}

/** A large link that opens one of the pages in a window of its own. */
export function Door({ href, title, text, main = false }: DoorProps) {
  const t = useMessages();
  return (
    <a class={`door ${main ? 'door-main' : ''}`} href={href} target="_blank" rel="noopener">
      <strong>{title}</strong>
      <span>{text}</span>
      <span class="door-open">
        {t.open} <code>{href}</code> <Icon name="arrow" />
      </span>
    </a>
  );
}

import { useState } from 'preact/hooks';
import { fill, useMessages } from '../../i18n/locale';
import { Icon } from '../../views/icon';
import { copyText } from './copy-text';

const SHOWN_MS = 2_000;

/** Copies a text and says so. */
export function CopyButton({ text, name }: { text: string; name: string }) {
  const t = useMessages();
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    if (!(await copyText(text))) return;
    setCopied(true);
    setTimeout(() => setCopied(false), SHOWN_MS);
  };
  return (
    <button
      type="button"
      class="quiet copy"
      aria-label={fill(t.copyName, { name })}
      onClick={() => void copy()}
    >
      <Icon name={copied ? 'check' : 'copy'} />
      <span aria-live="polite">{copied ? t.copied : t.copy}</span>
    </button>
  );
}

import { useMessages } from '../i18n/locale';
import type { LocalMedia } from '../media/local-media';
import { useStore } from '../util/store';
import { Notice } from './notice';
import { problemAdvice } from './texts';

/** Tells why a device cannot be used, and how to fix that. */
export function DeviceProblems({ media }: { media: LocalMedia }) {
  const t = useMessages();
  const { problems } = useStore(media);
  return (
    <>
      {problems.map((problem, index) => (
        <Notice key={problem} kind="warning" {...problemAdvice(t, problem)}>
          {index === 0 && problem !== 'insecure-page' && (
            <button type="button" class="quiet" onClick={() => void media.start()}>
              {t.tryAgain}
            </button>
          )}
        </Notice>
      ))}
    </>
  );
}

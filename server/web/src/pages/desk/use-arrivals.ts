import { useEffect, useRef, useState } from 'preact/hooks';
import type { CallSummary } from '../../api/calls';
import { fill, useMessages } from '../../i18n/locale';
import type { Chime } from './chime';

/** Rings for shoppers who have just come, counts them in the title, and says who came last. */
export function useArrivals(waiting: CallSummary[], chime: Chime): string {
  const t = useMessages();
  const known = useRef(new Set<string>());
  const [announcement, setAnnouncement] = useState('');
  useEffect(() => {
    const arrived = waiting.filter((call) => !known.current.has(call.id));
    known.current = new Set(waiting.map((call) => call.id));
    const newest = arrived.at(-1);
    if (newest !== undefined) {
      chime.ring();
      setAnnouncement(fill(t.newShopper, { name: newest.name || t.guest }));
    } else if (waiting.length === 0) setAnnouncement('');
  }, [waiting, chime, t]);
  useEffect(() => {
    const title = `${t.deskTitle} · Tradewind`;
    document.title = waiting.length > 0 ? `(${waiting.length}) ${title}` : title;
    return () => {
      document.title = title;
    };
  }, [waiting.length, t]);
  return announcement;
}

import type { ComponentChildren } from 'preact';
import { Icon, type IconName } from './icon';

interface NoticeProps {
  kind: 'info' | 'warning' | 'error';
  title: string;
  fix?: string;
  icon?: IconName;
  children?: ComponentChildren;
}

/** A message that stays until its cause is gone: what happened, what to do, and a way to do it. */
export function Notice({ kind, title, fix, icon = 'warning', children }: NoticeProps) {
  return (
    <div class={`notice notice-${kind}`}>
      <Icon name={icon} />
      <div class="notice-text">
        <strong>{title}</strong>
        {fix && <span>{fix}</span>}
      </div>
      {children}
    </div>
  );
}

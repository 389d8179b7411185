import { expect, test } from 'vitest';
import { EventStreamParser } from './event-stream';

test('reads events, comments and data of several lines', () => {
  const parser = new EventStreamParser();
  expect(parser.push(': hello\n\nevent: calls\ndata: {"a":\ndata: 1}\n\ndata:x\n\n')).toEqual([
    { event: 'calls', data: '{"a":\n1}' },
    { event: 'message', data: 'x' },
  ]);
});

test.each(['\n', '\r\n', '\r'])('does not depend on where chunks are cut, with %j', (line) => {
  const text = ['event: calls', 'data: {}', '', 'data: 2', '', ''].join(line);
  const parser = new EventStreamParser();
  const events = [...text].flatMap((character) => parser.push(character));
  // A lone carriage return counts only once the next character shows that no line feed follows.
  events.push(...parser.push('\n'));
  expect(events).toEqual([
    { event: 'calls', data: '{}' },
    { event: 'message', data: '2' },
  ]);
});

test('keeps an event back until it is complete', () => {
  const parser = new EventStreamParser();
  expect(parser.push('event: calls\ndata: {}\n')).toEqual([]);
  expect(parser.push('\n')).toHaveLength(1);
});
